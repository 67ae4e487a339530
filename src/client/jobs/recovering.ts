import type { SliceRun } from '../calls/attempt.ts';
import type { By } from '../../contract/audit.ts';
import type { SliceInput, SliceTrigger } from '../../contract/slice.ts';
import { admitArrival } from '../../domain/job/arriving.ts';
import { type CarriedJob, restoreJob } from '../../domain/job/carrying.ts';
import type { Slice } from '../../domain/job/job.ts';
import { note } from '../../domain/job/operating.ts';
import { loseSlice, settleSlice } from '../../domain/job/settling.ts';
import type { DispatcherState } from '../../domain/job/state.ts';
import type { Arrival } from '../../domain/job/steps.ts';
import { spacingUnknown } from '../../domain/job/throttles/request-rate.ts';

/** The remains of a job whose run was ended from outside: by a person, or by the server at one of its limits. */
export interface Remains {
  /** The state that the run had reached, with the triggers of running slices among those waiting. */
  readonly carried: CarriedJob;
  /** The slices that were running, and what is known of their ends. */
  readonly ends: readonly Pick<SliceRun, 'slice' | 'end'>[];
  /** Arrivals that were not yet taken, oldest first, with the time at which they came (epoch ms). */
  readonly arrivals: readonly { readonly arrival: Arrival; readonly at: number }[];
}

/** The arrivals that are taken in again; only the ended run could use the others. */
const RECOVERED: ReadonlySet<Arrival['kind']> = new Set(['trigger', 'unknown', 'surplus']);

/**
 * Returns the state from which a terminated job continues, with exactly the triggers that are not known to be delivered. It is as it was:
 * running, paused, stopping, or stopped with what it kept. A slice that was in flight, and whose end is not known, is sent again: its triggers keep their ids.
 *
 * @param by who recovers it; absent: nobody, it is only looked at.
 * @param backfillGone whether the backfill's child has ended; another one then continues from where the job was.
 */
export function recoverJob(
  { carried, ends, arrivals }: Remains,
  backfillGone: boolean,
  now: number,
  by?: By,
): DispatcherState {
  const state = restoreJob(carried);
  for (const { slice, end } of ends) {
    if (!takeUpSlice(state, slice)) continue;
    if (end.kind === 'reported') settleSlice(state, slice.sliceId, end.report, now);
    // Its requests are over by now, and each that may have been made counts.
    else loseSlice(state, slice.sliceId, end.progress, now);
  }
  // It is not known which requests other slices started.
  spacingUnknown(state, state.job.definition.requestsPerSecond ?? undefined, now);
  for (const { arrival, at } of arrivals) {
    // A page is read again, or sent again by the child; permits belonged to slices that are over. A dead letter that was not taken still
    // has its trigger, and may have been discarded since.
    if (RECOVERED.has(arrival.kind)) admitArrival(state, arrival, at, false);
  }
  if (backfillGone) state.backfill?.restart();
  if (by !== undefined) note(state, { action: 'recover' }, by, now);
  return state;
}

/** Makes a slice that was carried as waiting run again; false when the waiting triggers are not those of the slice. */
function takeUpSlice(state: DispatcherState, slice: SliceInput): boolean {
  const { sliceId, permits, settings, triggers } = slice;
  const groups = byPerson(triggers);
  const parts: { chain: Slice['parts'][number]['chain']; count: number }[] = [];
  for (const group of groups) {
    const chain = state.chains.get(group[0]?.user ?? '');
    const stands = group.every(({ audience, event, at }, index) => {
      const waiting = chain?.triggers[index];
      return waiting?.audience === audience && waiting.event === event && waiting.at === at;
    });
    if (chain?.place !== 'ready' || !stands) return false;
    parts.push({ chain, count: group.length });
  }
  for (const { chain, count } of parts) state.chains.startRunning(chain, count);
  state.slices.set(sliceId, {
    id: sliceId,
    revision: settings.revision,
    parts,
    triggers,
    dispatchedPermits: permits,
    permits,
    limits: slice,
  });
  return true;
}

/** In a slice the triggers of one person are adjacent. */
function byPerson(triggers: readonly SliceTrigger[]): SliceTrigger[][] {
  const groups: SliceTrigger[][] = [];
  for (const trigger of triggers) {
    const last = groups.at(-1);
    if (last?.[0]?.user === trigger.user) last.push(trigger);
    else groups.push([trigger]);
  }
  return groups;
}
