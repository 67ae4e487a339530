{{/* A part of which there is one Deployment: root, component, replicas, and what a pod is made of. */}}
{{- define "audience-triggers.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "audience-triggers.fullname" .root }}-{{ .component }}
  labels:
    {{- include "audience-triggers.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  strategy:
    type: RollingUpdate
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  selector:
    matchLabels:
      {{- include "audience-triggers.selector" . | nindent 6 }}
  template:
    {{- include "audience-triggers.pod" (merge (dict "image" (include "audience-triggers.image" (dict "root" .root))) .) | nindent 4 }}
{{- if gt (int .replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "audience-triggers.fullname" .root }}-{{ .component }}
  labels:
    {{- include "audience-triggers.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "audience-triggers.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* The way to a server: root, component, values (service, ingress). */}}
{{- define "audience-triggers.way" -}}
{{- $name := printf "%s-%s" (include "audience-triggers.fullname" .root) .component -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "audience-triggers.labels" . | nindent 4 }}
  {{- with .values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .values.service.type }}
  selector:
    {{- include "audience-triggers.selector" . | nindent 4 }}
  {{- if gt (int (.values.replicas | default 1)) 1 }}
  # Sessions are in the memory of one process.
  sessionAffinity: ClientIP
  {{- end }}
  ports:
    - { name: http, port: {{ .values.service.port }}, targetPort: http }
{{- with .values.ingress }}
{{- if .enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $name }}
  labels:
    {{- include "audience-triggers.labels" $ | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  tls:
    - hosts: [{{ .host | quote }}]
      secretName: {{ .tlsSecret | quote }}
  rules:
    - host: {{ .host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ $name }}
                port: { name: http }
{{- end }}
{{- end }}
{{- end -}}
