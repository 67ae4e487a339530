import { SLICE_MS, SLICE_TRIGGERS } from '../../limits.ts';
import type { Slice } from '../job.ts';
import type { Throttled } from './throttled.ts';

/**
 * Members wait this long, in ms, for the next page of their backfill, even if the job waits for nothing else: its batches are full but for the
 * last one.
 */
const PAGE_WAIT_MS = 5_000;

/** Most triggers in one request. */
export function batchSize({ job }: Throttled): number {
  return job.definition.batch?.size ?? 1;
}

/** Notes since when what is ready waits, in a job with batches. To be called whenever that may have changed, before anything is cut. */
export function gather(state: Throttled, members: number, now: number): void {
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

/** What is ready has waited long enough, whatever it has waited for. */
export function gatherNoLonger(state: Throttled): void {
  if (state.job.definition.batch !== null) state.gathering = { live: 0, members: 0 };
}

/** When live triggers go although they fill no batch, epoch ms; in the past when they may now. */
function liveDueAt({ gathering, job, stopping }: Throttled): number {
  const { batch } = job.definition;
  return batch === null || batch.afterMs === 0 || stopping !== undefined ? 0 : (gathering?.live ?? 0) + batch.afterMs;
}

/** The same for members, of whom so many are ready. */
function membersDueAt({ gathering, job, stopping, backfill, chains }: Throttled, members: number): number {
  const { batch } = job.definition;
  // Who is still to be read is waited for; not who is let go by the pace of the backfill.
  const isMoreToCome = backfill?.expectsPages === true && members >= chains.members.size + backfill.waitingInPages;
  if (batch === null || stopping !== undefined || !isMoreToCome) return 0;
  return (gathering?.members ?? 0) + Math.max(batch.afterMs, PAGE_WAIT_MS);
}

/** When the live triggers that are ready may be cut, epoch ms; in the past when they may now. */
export function liveFrom(state: Throttled): number {
  const dueAt = liveDueAt(state);
  const size = batchSize(state);
  return dueAt === 0 || state.chains.liveTriggers(size) >= size ? 0 : dueAt;
}

/** The same for members, of whom so many are ready. */
export function membersFrom(state: Throttled, members: number): number {
  return members >= batchSize(state) ? 0 : membersDueAt(state, members);
}

/** Whether what is ready goes although it fills no batch. */
export function goesUnfilled(state: Throttled, members: number | undefined, now: number): boolean {
  return (members === undefined ? liveDueAt(state) : membersDueAt(state, members)) <= now;
}

/**
 * How many batches a slice sends, on how many permits. It is filled before the next one is cut, since a slice costs more than a few requests:
 * so there are as few as can hold all that is ready, or use all permits for a second.
 */
export function batchesOf(
  state: Throttled,
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
 * The most triggers that a slice of so many requests may take, of those that are ready: whole batches of them, and what is left over only if
 * that waits for nothing.
 *
 * @param isOver whether what is ready need not fill a batch.
 */
export function triggersOf(state: Throttled, requests: number, ready: number, isOver: boolean): number {
  const size = batchSize(state);
  const whole = (triggers: number): number => Math.floor(triggers / size) * size;
  const most = Math.min(requests * size, whole(SLICE_TRIGGERS));
  return isOver || ready < size ? most : Math.min(most, whole(ready));
}

/** How many requests the triggers of a slice make, if all goes well. */
export function requestsOf(state: Throttled, triggers: Slice['triggers']): number {
  const size = batchSize(state);
  return Math.ceil(triggers.reduce((sum, { batchMost = size }) => sum + 1 / Math.min(size, batchMost), 0) - 1e-9);
}
