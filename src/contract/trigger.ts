import { misspeltKey } from './nearest-key.ts';

/** A JSON value as it travels: integers beyond 2^53 are BigInt, so that they keep their digits. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** Whether the person has entered or left the audience. */
export type TriggerEvent = 'enter' | 'exit';

/**
 * One membership change, as anybody may signal it to a job (signals `enter`, `exit`, `triggers`).
 * Unknown keys are ignored, so that the shape can grow. At most 64 KiB of JSON.
 */
export interface Trigger {
  /** Slug or 32-hex id of an audience that the job subscribes to. */
  readonly audience: string;
  /** The person, 1..255 characters. A string, since ids exceed 2^53. */
  readonly user: string;
  /** RFC 3339 with up to nanoseconds, passed on unchanged. Absent: when the job received it; the client sets it before that. */
  readonly at?: string;
  /** The person's fields. Absent: read from the audience source when the trigger is sent, the way for volume. */
  readonly profile?: JsonObject;
}

/** A trigger that names its event itself, as in the signal `triggers` and in NDJSON lines. */
export interface EventTrigger extends Trigger {
  readonly event: TriggerEvent;
}

const KEYS: readonly (keyof EventTrigger)[] = ['event', 'audience', 'user', 'at', 'profile'];

/**
 * Returns why a caller who can fix a trigger should not send it, although its unknown keys would be ignored: one of them most likely is a
 * misspelt `profile` or `at`. Without its `profile`, the person's whole profile would be sent. In words; undefined when none is.
 */
export function misspeltInTrigger(trigger: object): string | undefined {
  const found = misspeltKey({ ...trigger }, KEYS);
  return found === undefined ? undefined : `it has no "${found.near}" but "${found.key}"`;
}
