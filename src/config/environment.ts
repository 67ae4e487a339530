import { isRecord } from '../domain/json.ts';

/** Returns the value of an environment variable; undefined when it is not set or is empty. */
export type Given = (name: string) => string | undefined;

/** A part of the configuration file, overridden by what the environment gives. */
export function withGiven(part: unknown, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...(isRecord(part) ? part : {}), ...Object.fromEntries(said) };
}
