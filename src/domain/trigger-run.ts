import type { ProfileRef } from '../contract/holder.ts';
import type { EventTrigger } from '../contract/trigger.ts';
import { nextNanosecond, parseInstant, withOffset } from './instant.ts';
import { isRecord, parseJson } from './json.ts';
import { SpilledProfile, WrittenProfile } from './trigger.ts';
import { scanMembers } from './json-scan.ts';

/** A trigger with its profile as JSON text: a job hands a profile on as it came, and a text costs it a fifth of what an object does. */
export interface RunTrigger extends Omit<EventTrigger, 'profile'> {
  readonly profile?: string;
}

/**
 * Triggers as the client signals them: one without an `at` happened a nanosecond after the one before it. The client dates what is pushed, and its
 * times would be a third of what a job's history holds.
 */
export interface TriggerRun {
  readonly triggers: readonly (RunTrigger | TriggerWithRef)[];
  /** Where the profiles are, if they are not with their triggers: the name of a profile holder. */
  readonly profilesIn?: string;
}

/** A trigger with the place of its profile in a holder. */
interface TriggerWithRef extends Omit<EventTrigger, 'profile'> {
  readonly profile: number;
}

/**
 * Returns the triggers, or any other values, in a signal of triggers: each argument is one, an array of them, or a run. Without an
 * argument, the missing trigger counts as one.
 */
export function triggersIn(args: readonly unknown[]): readonly unknown[] {
  if (args.length === 0) return [undefined];
  return args.flatMap((arg) =>
    isRun(arg) ? dated(arg.triggers.map((trigger) => read(trigger, arg.profilesIn))) : arg,
  );
}

function isRun(arg: unknown): arg is { readonly triggers: readonly unknown[]; readonly profilesIn?: unknown } {
  return isRecord(arg) && Array.isArray(arg['triggers']);
}

function read(trigger: unknown, profilesIn: unknown): unknown {
  if (!isRecord(trigger)) return trigger;
  const { profile } = trigger;
  if (typeof profile === 'string') return { ...trigger, profile: new WrittenProfile(profile) };
  const ref = readProfileRef(profilesIn, profile);
  return ref === undefined ? trigger : { ...trigger, profile: new SpilledProfile(ref) };
}

function dated(triggers: readonly unknown[]): unknown[] {
  let last: string | undefined;
  return triggers.map((trigger) => {
    if (!isRecord(trigger)) return trigger;
    const at = trigger['at'] ?? undefined;
    if (at !== undefined || last === undefined) {
      last = typeof at === 'string' ? parseInstant(at) : undefined;
      return trigger;
    }
    last = nextNanosecond(last);
    return { ...trigger, at: withOffset(last) };
  });
}

/**
 * A signal has room for 64 KiB. Profiles beyond that go by claim check: the client first starts a workflow that keeps them, a profile
 * holder, and the triggers carry only its name and their places. Profiles then pass through Temporal only once, and never through the
 * memory of the job.
 */
const NAME = /^h[0-9a-f]{15}$/;

/** Whether a holder with this name keeps profiles; others keep triggers. */
export function isProfileHolder(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** Reads where a profile is from a signalled value; undefined for anything else. */
export function readProfileRef(holder: unknown, place: unknown): ProfileRef | undefined {
  if (!isProfileHolder(holder)) return undefined;
  return typeof place === 'number' && Number.isSafeInteger(place) && place >= 0 ? [holder, place] : undefined;
}

/**
 * Reads a profile from the content of a holder. Undefined when it is missing or not an object: anybody who can reach Temporal can start
 * such a workflow.
 */
export function profileFrom(content: unknown, [, place]: ProfileRef): string | undefined {
  const profiles: unknown = isRecord(content) ? content['profiles'] : undefined;
  const text: unknown = Array.isArray(profiles) ? profiles[place] : undefined;
  return typeof text === 'string' && isObject(text) ? text : undefined;
}

function isObject(json: string): boolean {
  if (scanMembers(json, 0, json.length) !== undefined) return true; // Text that does not scan is rare.
  try {
    return isRecord(parseJson(json));
  } catch {
    return false;
  }
}
