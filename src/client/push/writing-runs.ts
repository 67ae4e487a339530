import type { SpilledProfiles } from '../../contract/holder.ts';
import { type RunTrigger, type TriggerRun } from '../../domain/trigger-run.ts';

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

/** The name of the holder of a signal's profiles, from the id of that signal (a UUID): a repeated signal finds it there. */
export function profileHolderName(requestId: string): string {
  return `h${requestId.replaceAll('-', '').slice(0, 15).toLowerCase()}`;
}
