import type { SliceTrigger } from '../../../contract/slice.ts';
import { SLICE_MS, SLICE_TRIGGERS } from '../../limits.ts';
import type { Throttle, Throttled } from './throttle.ts';

export interface WithGathering {
  /** Since when ready triggers wait for a full batch, epoch ms; absent: nothing waits. Plain JSON. */
  gathering?: { readonly live?: number; readonly members?: number } | undefined;
}

type State = Throttled & WithGathering;

/** Ready triggers wait for a full batch. When that is over depends on much else, so `dispatching.ts` says it. */
export const batching: Throttle<WithGathering> = {
  // Returned triggers have waited for their batch before.
  settled: (state, { report }) => {
    if (report.unsent.length > 0) gatherNoLonger(state);
  },
};

/**
 * Members wait this long, in ms, for the next page of their backfill, even if the job waits for nothing else. All batches of a backfill but
 * the last one are full.
 */
const PAGE_WAIT_MS = 5_000;

/** Most triggers in one request. */
export function batchSize({ job }: State): number {
  return job.definition.batch?.size ?? 1;
}

/** Notes since when ready triggers wait, in a job with batches. Call it whenever that may have changed, before anything is dispatched. */
export function gather(state: State, members: number, now: number): void {
  const { chains, gathering } = state;
  const isLive = chains.live.size > 0;
  const isOfMembers = members > 0;
  state.gathering =
    isLive || isOfMembers
      ? {
          ...(isLive ? { live: gathering?.live ?? now } : {}),
          ...(isOfMembers ? { members: gathering?.members ?? now } : {}),
        }
      : undefined;
}

/** Ends the wait of ready triggers for a full batch. */
export function gatherNoLonger(state: State): void {
  if (state.job.definition.batch !== null) state.gathering = { live: 0, members: 0 };
}

/**
 * When ready triggers go in a batch that is not full, epoch ms; in the past when they may now.
 *
 * @param members how many members are ready; undefined: it is about live triggers.
 */
function dueAt({ gathering, job, stopping, backfill, chains }: State, members?: number): number {
  const { batch } = job.definition;
  if (batch === null || stopping !== undefined) return 0;
  if (members === undefined) return batch.afterMs === 0 ? 0 : (gathering?.live ?? 0) + batch.afterMs;
  // Wait for members that are still to be read, but not for those that the pace of the backfill holds back.
  const isMoreToCome = backfill?.expectsPages === true && members >= chains.later.size + backfill.waitingInPages;
  return isMoreToCome ? (gathering?.members ?? 0) + Math.max(batch.afterMs, PAGE_WAIT_MS) : 0;
}

/** When the live triggers that are ready may be dispatched, epoch ms; in the past when they may now. */
export function liveFrom(state: State): number {
  const at = dueAt(state);
  const size = batchSize(state);
  return at === 0 || state.chains.liveTriggers(size) >= size ? 0 : at;
}

/** The same for this many ready members. */
export function membersFrom(state: State, members: number): number {
  return members >= batchSize(state) ? 0 : dueAt(state, members);
}

/** Whether ready triggers go in a batch that is not full. */
export function goesUnfilled(state: State, members: number | undefined, now: number): boolean {
  return dueAt(state, members) <= now;
}

/**
 * How many batches a slice sends, on how many permits. A slice costs more than a few requests, so it is filled before the next one is dispatched:
 * there are only enough slices to hold all ready triggers, or to use all permits for a second.
 */
export function batchesOf(
  state: State,
  { ready, free, slicesLeft }: { readonly ready: number; readonly free: number; readonly slicesLeft: number },
): { readonly permits: number; readonly requests: number } {
  const size = batchSize(state);
  const all = Math.ceil(ready / size);
  const most = Math.min(Math.floor(SLICE_TRIGGERS / size), all);
  const rounds = Math.max(1, Math.floor(SLICE_MS / Math.max(state.requestMs, 1)));
  const share = Math.ceil(free / Math.min(slicesLeft, Math.ceil(all / most)));
  const permits = Math.min(free, most, Math.max(share, Math.ceil(most / rounds)));
  return { permits, requests: Math.min(most, permits * rounds) };
}

/**
 * The most ready triggers that a slice with this many requests may take: whole batches, and the rest only if it waits for nothing.
 *
 * @param isOver whether the batches need not be full.
 */
export function triggersOf(state: State, requests: number, ready: number, isOver: boolean): number {
  const size = batchSize(state);
  const whole = (triggers: number): number => Math.floor(triggers / size) * size;
  const most = Math.min(requests * size, whole(SLICE_TRIGGERS));
  return isOver || ready < size ? most : Math.min(most, whole(ready));
}

/** How many requests the triggers of a slice make, if all goes well. */
export function requestsOf(state: State, triggers: readonly Pick<SliceTrigger, 'batchMost'>[]): number {
  const size = batchSize(state);
  return Math.ceil(triggers.reduce((sum, { batchMost = size }) => sum + 1 / Math.min(size, batchMost), 0) - 1e-9);
}
