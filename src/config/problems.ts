import { z } from 'zod';
import { nearestKey } from '../contract/nearest-key.ts';
import { isRecord } from '../domain/json.ts';

/** The configuration cannot be used. The message names the file or variable and says what is wrong, but never contains a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** An ordinary key. Anything else may be a whole line with a secret in it: `"authorization: Bearer …": ""`. */
const NAME = /^[\w.$-]{1,64}$/;

/** Returns where a configuration is wrong and why, without any value, and without any key that may contain one. */
export function problemsOf({ issues }: z.ZodError, schema: z.core.$ZodType): string {
  return z.prettifyError({
    issues: issues.map((issue) => ({
      path: issue.path.map((part) => (typeof part === 'string' ? shownKey(part) : part)),
      message: issue.code === 'unrecognized_keys' ? unknownKeysIn(issue, schema) : issue.message,
    })),
  });
}

/** Returns a key as people may see it. */
export function shownKey(key: string): string {
  return NAME.test(key) ? key : '…';
}

function unknownKeysIn({ keys, path }: z.core.$ZodIssueUnrecognizedKeys, schema: z.core.$ZodType): string {
  const known = keysAt(schema, path);
  return keys.map((key) => unknownKey(key, known)).join(' ');
}

/** Returns the message about an unknown setting, with the one that was most likely meant. */
export function unknownKey(key: string, known: readonly string[]): string {
  const near = nearestKey(key, known);
  const advice = near === undefined ? `The settings here are ${known.join(', ')}.` : `Did you mean "${near}"?`;
  return `There is no setting "${shownKey(key)}". ${advice}`;
}

/** The keys that an object at this place may have. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  )
    return keysAt(schema.unwrap(), path);
  if (schema instanceof z.ZodUnion) return [...new Set(schema.options.flatMap((option) => keysAt(option, path)))];
  const [key, ...rest] = path;
  if (key === undefined) return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  const inner: z.core.$ZodType | undefined =
    schema instanceof z.ZodObject
      ? (schema.shape as Record<PropertyKey, z.core.$ZodType>)[key]
      : schema instanceof z.ZodRecord
        ? schema.valueType
        : schema instanceof z.ZodArray && typeof key === 'number'
          ? schema.element
          : undefined;
  return inner === undefined ? [] : keysAt(inner, rest);
}

/** Every variable of ours. Docker reads the ones of docker-compose.yml, but they may be set here, too. */
export const VARIABLES = [
  'TRIGGERS_BUILD_ID',
  'TRIGGERS_CODEC_TOKEN',
  'TRIGGERS_CONFIG',
  'TRIGGERS_CONFIG_FOLDER',
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

/** Variables that Kubernetes sets in every pod for a service whose name begins with `triggers`. */
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

/** Returns a part of the configuration file, overridden by the environment. */
export function withOverrides(part: unknown, overrides: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const defined = Object.entries(overrides).filter(([, value]) => value !== undefined);
  return { ...(isRecord(part) ? part : {}), ...Object.fromEntries(defined) };
}

/** Returns the number in a variable; the text itself, for the schema to refuse, when it is not a number. */
export function numberIn(text: string): number | string {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}
