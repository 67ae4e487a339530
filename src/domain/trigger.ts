import type { JobDefinition } from '../contract/export-job.ts';
import type { ProfileRef } from '../contract/holder.ts';
import type { Json, JsonObject, TriggerEvent } from '../contract/trigger.ts';
import { parseInstant } from './instant.ts';
import { scanMembers } from './json-scan.ts';
import { isRecord, parseJson, stringifyJson, utf8Bytes } from './json.ts';

/** Most bytes of one trigger's JSON. */
export const MAX_TRIGGER_BYTES = 64 * 1024;
/** Most levels of objects and arrays in a profile. Nested too deep for the stack, it could be read, but never written again. */
const MAX_PROFILE_DEPTH = 200;
/** Most characters of a person's id. */
export const MAX_USER_LENGTH = 255;

/** A trigger of the right shape; the job checks whether it subscribes to its audience. */
export interface ReadTrigger {
  readonly user: string;
  /** As signalled: slug or id. */
  readonly audience: string;
  readonly event: TriggerEvent;
  readonly at?: string;
  /** Its JSON. Only the code that makes a request looks into it, so it is written once and read once. */
  readonly profile?: string;
  /** In place of a profile: where it is. */
  readonly profileRef?: ProfileRef;
}

/** A profile that is spilled instead of signalled, as in a `TriggerRun`. */
export class SpilledProfile {
  readonly ref: ProfileRef;

  constructor(ref: ProfileRef) {
    this.ref = ref;
  }
}

/** A profile that is signalled as JSON text, as in a `TriggerRun`. */
export class WrittenProfile {
  readonly json: string;

  constructor(json: string) {
    this.json = json;
  }
}

type TriggerReading =
  { readonly ok: true; readonly trigger: ReadTrigger } | { readonly ok: false; readonly reason: string };

/**
 * Reads something that was signalled as a trigger. Never throws, whatever it is given.
 *
 * @param event the event, from the name of the signal; undefined when the trigger must name it itself.
 */
export function readTrigger(raw: unknown, event?: TriggerEvent, maxBytes = MAX_TRIGGER_BYTES): TriggerReading {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    return refused(`a trigger must be a JSON object, but this is ${nameOf(raw)}`);
  const { user, audience, event: own, ...optional } = raw as Partial<Record<string, unknown>>;
  // Many languages write absent values as null.
  const at = optional['at'] ?? undefined;
  const profileOrRef = optional['profile'] ?? undefined;
  const { ref: profileRef } = profileOrRef instanceof SpilledProfile ? profileOrRef : {};
  const profile = profileRef === undefined ? profileOrRef : undefined;
  const happened = event ?? own;
  if (happened !== 'enter' && happened !== 'exit') return refused('"event" must be "enter" or "exit"');
  if (own !== undefined && own !== null && own !== happened)
    return refused(`its "event" says something else than the signal "${happened}"`);
  if (typeof user !== 'string')
    return refused(
      `"user" must be a string, it is ${nameOf(user)}${user === undefined ? '' : ' (ids exceed what a JSON number can hold)'}`,
    );
  if (user.length < 1 || user.length > MAX_USER_LENGTH)
    return refused(`"user" must have 1 to ${MAX_USER_LENGTH} characters`);
  // A lone surrogate has no UTF-8 and could not be sent on as it came.
  if (!user.isWellFormed()) return refused('"user" is not valid Unicode');
  if (typeof audience !== 'string' || audience.length < 1 || audience.length > 255)
    return refused('"audience" must be a slug or id');
  if (at !== undefined && (typeof at !== 'string' || parseInstant(at) === undefined)) {
    return refused('"at" must be an RFC 3339 time, such as "2026-11-25T08:30:00.000000001Z"');
  }
  const written = profile === undefined ? undefined : writtenProfile(profile);
  if (written?.ok === false) return written;
  const json = written?.json;
  const profileBytes = json === undefined ? 0 : utf8Bytes(json);
  const bytes = FRAME_BYTES + utf8Bytes(user) + utf8Bytes(audience) + (at ?? '').length + profileBytes;
  if (bytes > maxBytes) return refused(`it has ${bytes} bytes; at most ${maxBytes} are accepted`);
  return {
    ok: true,
    trigger: {
      user,
      audience,
      event: happened,
      ...(at === undefined ? {} : { at }),
      ...(json === undefined ? {} : { profile: json }),
      ...(profileRef === undefined ? {} : { profileRef }),
    },
  };
}

// The bytes of {"user":"","audience":"","event":"enter","at":"","profile":} without its values.
const FRAME_BYTES = 60;

function writtenProfile(
  profile: unknown,
): { readonly ok: true; readonly json: string } | Exclude<TriggerReading, { ok: true }> {
  // Text that scans is an object with fewer levels than are allowed; other text is rare.
  if (profile instanceof WrittenProfile && scanMembers(profile.json, 0, profile.json.length) !== undefined)
    return { ok: true, json: profile.json };
  const fields = profile instanceof WrittenProfile ? parsed(profile.json) : profile;
  if (!isRecord(fields)) return refused(`"profile" must be a JSON object, it is ${nameOf(fields)}`);
  // An object out of decoded JSON is a JsonObject.
  if (isDeeperThan(fields as JsonObject, MAX_PROFILE_DEPTH))
    return refused(`"profile" is nested more than ${MAX_PROFILE_DEPTH} levels deep`);
  return { ok: true, json: profile instanceof WrittenProfile ? profile.json : stringifyJson(fields) };
}

/** Parses JSON; returns any other text as it is. */
function parsed(json: string): unknown {
  try {
    return parseJson(json);
  } catch {
    return json;
  }
}

/** Whether objects and arrays in it are nested in more than this many levels. */
export function isDeeperThan(value: Json, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1));
}

function refused(reason: string): Exclude<TriggerReading, { ok: true }> {
  return { ok: false, reason };
}

function nameOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  // Integers of any size are numbers in JSON.
  return typeof value === 'bigint' ? 'a number' : `a ${typeof value}`;
}

/** Whether a job sends membership changes of this kind. */
export function wantsEvent({ events }: Pick<JobDefinition, 'events'>, event: TriggerEvent): boolean {
  return events === null || events.includes(event);
}
