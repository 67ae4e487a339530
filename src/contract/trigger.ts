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
