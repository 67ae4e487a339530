import { z } from 'zod';
import { nearestKey } from '../contract/nearest-key.ts';

/** The configuration cannot be used. The message names the file or variable and says what is wrong, but never contains a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** An ordinary key. Anything else may be a whole line with a secret in it: `"authorization: Bearer …": ""`. */
const NAME = /^[\w.$-]{1,64}$/;

/** Says where a configuration is wrong and why, without any value, and without any key that may contain one. */
export function problemsOf({ issues }: z.ZodError, schema: z.core.$ZodType): string {
  return z.prettifyError({
    issues: issues.map((issue) => ({
      path: issue.path.map((part) => (typeof part === 'string' ? shownKey(part) : part)),
      message: issue.code === 'unrecognized_keys' ? unknownKeysIn(issue, schema) : issue.message,
    })),
  });
}

/** A key as people may see it. */
export function shownKey(key: string): string {
  return NAME.test(key) ? key : '…';
}

function unknownKeysIn({ keys, path }: z.core.$ZodIssueUnrecognizedKeys, schema: z.core.$ZodType): string {
  const known = keysAt(schema, path);
  return keys.map((key) => unknownKey(key, known)).join(' ');
}

/** Says that there is no such setting, and which one was most likely meant. */
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
