{{- define "audience-triggers.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes of an installed part: selectors are made of it. */}}
{{- define "audience-triggers.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "audience-triggers.labels" -}}
{{ include "audience-triggers.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "audience-triggers.serviceAccount" -}}
{{- default (.Values.serviceAccount.create | ternary (include "audience-triggers.fullname" .) "default") .Values.serviceAccount.name -}}
{{- end -}}

{{- define "audience-triggers.image" -}}
{{- $digest := .digest | default "" -}}
{{- if and (not $digest) (not .tag) -}}{{- $digest = .root.Values.image.digest -}}{{- end -}}
{{- if $digest -}}
{{ .root.Values.image.repository }}@{{ $digest }}
{{- else -}}
{{ .root.Values.image.repository }}:{{ .tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The references of a kind, env or file, in parts of the configuration, as a JSON list of names. "$${" is none. */}}
{{- define "audience-triggers.references" -}}
{{- $prefix := printf "${%s:" .kind -}}
{{- $names := list -}}
{{- range regexFindAll "\\$\\$[{(]|\\$\\{(?:env|file):[^{}]+\\}" (toRawJson .parts) -1 -}}
{{- if hasPrefix $prefix . -}}{{- $names = append $names (. | trimPrefix $prefix | trimSuffix "}") -}}{{- end -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* What a part of the program reads of the configuration. */}}
{{- define "audience-triggers.parts" -}}
{{- $config := .root.Values.config -}}
{{- if eq .component "worker" -}}{{- $config | toRawJson -}}
{{- else if eq .component "api" -}}{{- pick $config "apiKeys" "deliveryLog" "ingests" "payloadKeys" | toRawJson -}}
{{- else if eq .component "outbox" -}}{{- pick $config "outbox" "payloadKeys" | toRawJson -}}
{{- else if eq .component "kafka" -}}{{- pick $config "kafka" "payloadKeys" | toRawJson -}}
{{- else if eq .component "codec-server" -}}{{- pick $config "payloadKeys" | toRawJson -}}
{{- else -}}{}{{- end -}}
{{- end -}}

{{/* The worker's Deployments: one, or one for each build, as a JSON list. */}}
{{- define "audience-triggers.workers" -}}
{{- $fullname := include "audience-triggers.fullname" . -}}
{{- $worker := .Values.worker -}}
{{- $replicas := $worker.replicas | default 2 -}}
{{- $all := list -}}
{{- if $worker.enabled -}}
{{- if or (not $worker.versioning.builds) $worker.versioning.unversioned -}}
{{- $all = append $all (dict "name" (printf "%s-worker" $fullname) "build" "unversioned" "buildId" "" "tag" "" "digest" "" "replicas" $replicas) -}}
{{- end -}}
{{- range $worker.versioning.builds -}}
{{- $slug := .id | lower | replace "." "-" | replace "_" "-" | replace "+" "-" | trunc 30 | trimAll "-" -}}
{{- $all = append $all (dict "name" (printf "%s-worker-%s" $fullname $slug | trunc 63 | trimAll "-") "build" $slug "buildId" .id "tag" (.tag | default "") "digest" (.digest | default "") "replicas" (.replicas | default $replicas)) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Variables by which every command finds Temporal. */}}
{{- define "audience-triggers.temporalEnv" -}}
{{- $temporal := .Values.temporal -}}
- name: TEMPORAL_ADDRESS
  value: {{ $temporal.address | quote }}
- name: TEMPORAL_NAMESPACE
  value: {{ $temporal.namespace | quote }}
{{- with $temporal.apiKey }}
{{- if .secret }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
{{- end }}
{{- end }}
{{- if $temporal.tls.enabled }}
- name: TEMPORAL_TLS
  value: 'true'
{{- with $temporal.tls.serverName }}
- name: TEMPORAL_TLS_SERVER_NAME
  value: {{ . | quote }}
{{- end }}
{{- if $temporal.tls.certificateAuthority.secret }}
- name: TEMPORAL_TLS_SERVER_CA_CERT_PATH
  value: /temporal-tls/ca.crt
{{- end }}
{{- if $temporal.tls.clientCertificate.secret }}
- name: TEMPORAL_TLS_CLIENT_CERT_PATH
  value: /temporal-tls/tls.crt
- name: TEMPORAL_TLS_CLIENT_KEY_PATH
  value: /temporal-tls/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "audience-triggers.hasTemporalFiles" -}}
{{- $tls := .Values.temporal.tls -}}
{{- if and $tls.enabled (or $tls.certificateAuthority.secret $tls.clientCertificate.secret) }}true{{ end -}}
{{- end -}}

{{- define "audience-triggers.temporalVolume" -}}
{{- $tls := .Values.temporal.tls -}}
- name: temporal-tls
  projected:
    defaultMode: 0440
    sources:
      {{- with $tls.certificateAuthority }}
      {{- if .secret }}
      - secret:
          name: {{ .secret | quote }}
          items:
            - { key: {{ .key | quote }}, path: ca.crt }
      {{- end }}
      {{- end }}
      {{- with $tls.clientCertificate }}
      {{- if .secret }}
      - secret:
          name: {{ .secret | quote }}
          items:
            - { key: {{ .certificate | quote }}, path: tls.crt }
            - { key: {{ .key | quote }}, path: tls.key }
      {{- end }}
      {{- end }}
{{- end -}}

{{/* What a container may do: nothing but its work. */}}
{{- define "audience-triggers.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "audience-triggers.podSecurity" -}}
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.runAsUser) }}
runAsUser: {{ .Values.runAsUser | int64 }}
runAsGroup: {{ .Values.runAsUser | int64 }}
fsGroup: {{ .Values.runAsUser | int64 }}
# A large shared volume is not gone through file by file at every start.
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where pods of all kinds may run. */}}
{{- define "audience-triggers.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The pods of one part: root, component, args, ports, env, volumes and mounts (YAML), image, resources, labels, drainSeconds. */}}
{{- define "audience-triggers.pod" -}}
{{- $root := .root -}}
{{- $parts := include "audience-triggers.parts" . | fromJson -}}
{{- $env := include "audience-triggers.references" (dict "kind" "env" "parts" $parts) | fromJsonArray -}}
{{- $files := list -}}
{{- range include "audience-triggers.references" (dict "kind" "file" "parts" $parts) | fromJsonArray -}}
{{- $files = append $files (index (splitList "/" .) 2) -}}
{{- end -}}
{{- $files = uniq $files -}}
{{- /* The codec server knows the keys, and nothing of Temporal. */ -}}
{{- $usesTemporal := ne .component "codec-server" -}}
metadata:
  labels:
    # No version of the chart: builds that stand beside each other stay up when it changes.
    {{- include "audience-triggers.selector" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Another configuration is another pod: what is read at the start only would else stay as it was.
    checksum/config: {{ toRawJson $root.Values.config | sha256sum }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "audience-triggers.serviceAccount" $root | quote }}
  automountServiceAccountToken: false
  # Variables of services whose names begin with "triggers" would be taken for misspelt ones of ours.
  enableServiceLinks: false
  # Requests in flight end: at most requestTimeoutMs and 10 s more.
  terminationGracePeriodSeconds: {{ max 40 (add 25 (div (int ($root.Values.config.requestTimeoutMs | default 15000)) 1000)) }}
  securityContext:
    {{- include "audience-triggers.podSecurity" $root | nindent 4 }}
  {{- with include "audience-triggers.placement" $root }}
  {{- . | nindent 2 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "audience-triggers.selector" . | nindent 10 }}
          {{- with .labels }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ .image | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- if $usesTemporal }}
        {{- include "audience-triggers.temporalEnv" $root | nindent 8 }}
        {{- end }}
        - name: TRIGGERS_CONFIG
          value: /config/triggers.config.json
        {{- with $root.Values.payloadKeys }}
        {{- if .secret }}
        - name: TRIGGERS_PAYLOAD_KEYS
          valueFrom:
            secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
        {{- end }}
        {{- end }}
        {{- with .env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- range $name := $env }}
        {{- with index $root.Values.secrets.env $name }}
        - name: {{ $name }}
          valueFrom:
            secretKeyRef: { name: {{ .secret | quote }}, key: {{ .key | quote }} }
        {{- end }}
        {{- end }}
      ports:
        - name: {{ .portName }}
          containerPort: {{ .port }}
      startupProbe:
        httpGet: { path: /healthz, port: {{ .portName }} }
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /healthz, port: {{ .portName }} }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: {{ .portName }} }
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- if .drainSeconds }}
      lifecycle:
        preStop:
          exec:
            # Whoever passes requests on hears a moment later that this one takes no more.
            command: [sleep, {{ .drainSeconds | quote }}]
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        {{- include "audience-triggers.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - { name: config, mountPath: /config, readOnly: true }
        {{- if and $usesTemporal (include "audience-triggers.hasTemporalFiles" $root) }}
        - { name: temporal-tls, mountPath: /temporal-tls, readOnly: true }
        {{- end }}
        {{- range $files }}
        - { name: secret-{{ . }}, mountPath: /secrets/{{ . }}, readOnly: true }
        {{- end }}
        {{- range .mounts }}
        - {{ toJson . }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "audience-triggers.fullname" $root | quote }}
    {{- if and $usesTemporal (include "audience-triggers.hasTemporalFiles" $root) }}
    {{- include "audience-triggers.temporalVolume" $root | nindent 4 }}
    {{- end }}
    {{- range $files }}
    - name: secret-{{ . }}
      secret:
        secretName: {{ . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- range .volumes }}
    - {{ toJson . }}
    {{- end }}
{{- end -}}
