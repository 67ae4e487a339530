import { nearestKey } from '../contract/nearest-key.ts';
import { isRecord } from '../domain/json.ts';
import { ConfigError } from './problems.ts';

/** Every variable of ours. Those of docker-compose.yml are read by Docker, and may be there all the same. */
export const VARIABLES = [
  'TRIGGERS_BUILD_ID',
  'TRIGGERS_CODEC_TOKEN',
  'TRIGGERS_CONFIG',
  'TRIGGERS_CONFIG_FILE',
  'TRIGGERS_DATA_FOLDER',
  'TRIGGERS_DEPLOYMENT_NAME',
  'TRIGGERS_LOG_LEVEL',
  'TRIGGERS_METRICS_HOST',
  'TRIGGERS_METRICS_PORT',
  'TRIGGERS_PAYLOAD_KEYS',
  'TRIGGERS_SOURCE',
  'TRIGGERS_TASK_QUEUE',
  'TRIGGERS_TRACING_SAMPLE_RATIO',
  'TRIGGERS_WATCH_FOLDER',
] as const;

/** What Kubernetes sets in every pod for a service whose name begins with `triggers`. */
const OF_KUBERNETES = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/**
 * Refuses variables that nothing reads: with `TRIGGERS_PAYLOADKEYS`, say, nothing would be encrypted.
 * @throws ConfigError
 */
export function checkVariables(env: NodeJS.ProcessEnv): void {
  const known: readonly string[] = VARIABLES;
  for (const [name, value = ''] of Object.entries(env)) {
    if (!/^TRIGGERS?_/i.test(name) || known.includes(name)) continue;
    // Its `…_PORT` is a URL; a number would be that of the metrics, misspelt.
    if (OF_KUBERNETES.test(name) && !(/(?<!_SERVICE)_PORT$/.test(name) && /^\d+$/.test(value))) continue;
    const near = nearestKey(name, known);
    // Variables of others may begin with the singular.
    if (near === undefined && !name.startsWith('TRIGGERS_')) continue;
    const advice = near === undefined ? `The variables are ${known.join(', ')}.` : `Did you mean ${near}?`;
    throw new ConfigError(`There is no variable ${name}. ${advice} Correct or unset it.`);
  }
}

/** Returns the value of an environment variable; undefined when it is not set or is empty. */
export type Env = (name: string) => string | undefined;

/** A part of the configuration file, overridden by what the environment gives. */
export function withGiven(part: unknown, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...(isRecord(part) ? part : {}), ...Object.fromEntries(said) };
}

/** The number that a variable holds; the text itself, for the schema to refuse, when it is not written as one. */
export function numberIn(text: string): number | string {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}
