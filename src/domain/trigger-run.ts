import type { SpilledProfiles, ProfileRef } from '../contract/holder.ts';
import type { EventTrigger } from '../contract/trigger.ts';
import { nextNanosecond, parseInstant, withOffset } from './instant.ts';
import { isRecord, parseJson } from './json.ts';
import { SpilledProfile, WrittenProfile } from './trigger.ts';
import { scanMembers } from './json-scan.ts';
import { profileHolderPrefix } from './names.ts';

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

/** Bytes of JSON that a run takes besides its triggers, each counted with a comma, less the one comma too many. */
export const RUN_FRAME_BYTES = '{"triggers":[]}'.length - ','.length;

/** An `at` as the client writes it, and where its second ends. */
const DATED = /^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{9}\+00:00$/;
const SECOND_END = '2026-11-25T08:30:00.'.length;
const DATED_BYTES = ',"at":""'.length + '2026-11-25T08:30:00.000000001+00:00'.length;

/** The bytes of JSON that a trigger of `bytes` takes in a run after that one. */
export function bytesAfter(before: RunTrigger | undefined, trigger: RunTrigger, bytes: number): number {
  return follows(before, trigger) ? bytes - DATED_BYTES : bytes;
}

/** Whether a trigger happened a nanosecond after that one, in the same second. */
function follows(before: RunTrigger | undefined, { at = '' }: RunTrigger): boolean {
  const last = before?.at ?? '';
  if (!last.startsWith(at.slice(0, SECOND_END)) || !DATED.test(at) || !DATED.test(last)) return false;
  return Number(at.slice(SECOND_END, -6)) === Number(last.slice(SECOND_END, -6)) + 1;
}

/** The same triggers, with as few times as tell when each happened. */
export function triggerRun(triggers: readonly RunTrigger[]): TriggerRun {
  return { triggers: sparselyDated(triggers) };
}

function sparselyDated(triggers: readonly RunTrigger[]): RunTrigger[] {
  return triggers.map((trigger, i) => {
    if (!follows(triggers[i - 1], trigger)) return trigger;
    const { at: _, ...rest } = trigger;
    return rest;
  });
}

/** The same without their profiles, and what a holder of this name is to keep: those, in their order. */
export function spilledRun(
  triggers: readonly RunTrigger[],
  profilesIn: string,
): { readonly run: TriggerRun; readonly content: SpilledProfiles } {
  const profiles: string[] = [];
  const light = sparselyDated(triggers).map(({ profile, ...trigger }) =>
    profile === undefined ? trigger : { ...trigger, profile: profiles.push(profile) - 1 },
  );
  return { run: { triggers: light, profilesIn }, content: { profiles } };
}

/** Bytes of JSON that the place of a profile takes at most. */
export const PLACE_BYTES = 5;

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

/** The name of the holder of a signal's profiles, from the id of that signal (a UUID): a repeated signal finds it there. */
export function profileHolderName(requestId: string): string {
  return `h${requestId.replaceAll('-', '').slice(0, 15).toLowerCase()}`;
}

/** Whether a holder with this name keeps profiles; others keep triggers. */
export function isProfileHolder(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** Whether a workflow is a profile holder of this job. Job ids may share a prefix, or differ only in a character that a list treats as a wildcard. */
export function isProfileHolderOf(jobId: string, workflowId: string): boolean {
  const prefix = profileHolderPrefix(jobId);
  return workflowId.startsWith(prefix) && isProfileHolder(workflowId.slice(prefix.length));
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
