import { isRecord } from '../domain/json.ts';

/** The value of a variable of the environment; undefined where it is not set, or is empty. */
export type Given = (name: string) => string | undefined;

/** A part of the configuration file with what the environment says over it. */
export function withGiven(part: unknown, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...(isRecord(part) ? part : {}), ...Object.fromEntries(said) };
}
