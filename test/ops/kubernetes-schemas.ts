import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';

// Kubernetes' own schemas of 1.37, of the kinds that the chart makes, in which a field that does not exist is a mistake: as the PyPI package
// kubernetes-validate 1.37.0 (Apache-2.0) carries them in v1.37.0-local-strict, without their descriptions.
const { kinds, $defs } = JSON.parse(
  readFileSync(new URL('../fixtures/kubernetes-1.37.json', import.meta.url), 'utf8'),
) as { kinds: Record<string, object>; $defs: Record<string, object> };

const texts = { type: 'object', additionalProperties: { type: 'string' } } as const;
const object = (properties: object, required: readonly string[] = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const ofKeda = (kind: string, spec: object) =>
  object({
    apiVersion: { const: 'keda.sh/v1alpha1' },
    kind: { const: kind },
    metadata: object({ name: { type: 'string' }, labels: texts }),
    spec,
  });

const word = { type: 'string', minLength: 1 };
const number = { type: 'string', pattern: '^[0-9]+$' };
/** The fields that the documentation of KEDA 2.22 names and the chart uses; no registry has KEDA's own schemas. Metadata of scalers are texts. */
const KEDA = {
  ScaledObject: ofKeda(
    'ScaledObject',
    object({
      scaleTargetRef: object({ name: word }),
      minReplicaCount: { type: 'integer' },
      maxReplicaCount: { type: 'integer' },
      advanced: object({
        horizontalPodAutoscalerConfig: object({
          behavior: object({ scaleDown: object({ stabilizationWindowSeconds: { type: 'integer' } }) }),
        }),
      }),
      triggers: {
        type: 'array',
        items: {
          anyOf: [
            object(
              {
                type: { const: 'temporal' },
                metadata: object(
                  {
                    endpoint: { type: 'string', pattern: '^[^/:]+:[0-9]+$' },
                    namespace: word,
                    taskQueue: word,
                    queueTypes: { enum: ['workflow,activity'] },
                    targetQueueSize: number,
                    workerDeploymentName: word,
                    workerDeploymentBuildId: word,
                    tlsServerName: word,
                  },
                  ['endpoint', 'namespace', 'taskQueue', 'queueTypes', 'targetQueueSize'],
                ),
                authenticationRef: object({ name: word }),
              },
              ['type', 'metadata'],
            ),
            object({
              type: { const: 'cpu' },
              metricType: { enum: ['Utilization', 'AverageValue'] },
              metadata: object({ value: number }),
            }),
          ],
        },
      },
    }),
  ),
  TriggerAuthentication: ofKeda(
    'TriggerAuthentication',
    object({
      secretTargetRef: {
        type: 'array',
        items: object({ parameter: { enum: ['apiKey', 'ca', 'cert', 'key'] }, name: word, key: word }),
      },
    }),
  ),
};

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
const validators = new Map(
  Object.entries({ ...kinds, ...KEDA }).map(([kind, schema]) => [
    kind,
    ajv.compile({ ...schema, $id: `https://kubernetes.example/${kind}`, $defs }),
  ]),
);

/** What Kubernetes would have against a manifest. */
export function problemsOf(manifest: { readonly kind?: string; readonly [key: string]: unknown }): string[] {
  const validate = validators.get(manifest.kind ?? '');
  if (validate === undefined) return [`There is no schema for the kind ${manifest.kind}.`];
  validate(manifest);
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}
