import type { SliceSign } from '../../contract/slice.ts';
import { readProgress } from '../slice.ts';
import { sliceEndsWithinMs } from './dispatching.ts';
import { givenUp } from './lost-slices.ts';
import { loseSlice, settledPlaces } from './settling.ts';
import { type DispatcherState, countLeft } from './state.ts';
import { gatherNoLonger } from './throttles/batching.ts';

/**
 * A worker that was killed has slices which end only when the server has not heard of them for as long as a request of theirs may be open. A run
 * that waited for that would grow meanwhile, and whoever takes it up replay it: beside a stream of signals, for so long that the server ends the
 * task (it keeps 100 signals for one). So a run that is held up looks for signs of life. A slice that shows none is given up: its people and its
 * permits stay taken until nothing of it can be in flight any more, in the next run if need be, and its triggers then go back.
 */

/** Of the time in which a slice is over, this part without a sign of life: two of its heartbeats. */
const SILENT_SHARE = 1 / 4;
/** At least, in ms: a busy worker may be late by a second or two. */
const LEAST_SILENT_MS = 4_000;

function silentMs({ job }: DispatcherState): number {
  return Math.max(LEAST_SILENT_MS, sliceEndsWithinMs(job.requestTimeoutMs) * SILENT_SHARE);
}

/** Whether to look for signs of life now. To be asked before each wait. @param isHeldUp whether the run waits for a slice that takes long. */
export function looksForSigns(state: DispatcherState, isHeldUp: boolean, now: number): boolean {
  const { signs, slices } = state;
  const isFree = [...slices.values()].every(({ overAt }) => overAt !== undefined);
  if (!isHeldUp || isFree) {
    signs.forget();
    return false;
  }
  signs.nextAt ??= now;
  return !signs.isLooking && now >= signs.nextAt;
}

/**
 * Gives up the slices that show no sign of life, and returns their numbers: nobody is to go on with them.
 *
 * @param found the signs of those that a worker has; undefined: nobody could look.
 */
export function signsSeen(state: DispatcherState, found: readonly SliceSign[] | undefined, now: number): number[] {
  const { signs, slices } = state;
  signs.isLooking = false;
  if (signs.nextAt !== undefined) signs.nextAt = now + silentMs(state);
  // The server's clock may not be ours, so a silence is what we have seen of it.
  const silent = (found ?? []).filter(({ sliceId, lastAtMs }) => {
    const isKnown = slices.has(sliceId) && slices.get(sliceId)?.overAt === undefined;
    return isKnown && now - signs.sinceOf(sliceId, lastAtMs, now) >= silentMs(state);
  });
  for (const one of silent) giveUp(state, one, now);
  // What was held up by them ends in the next calm moment.
  if (silent.length > 0) state.endTried = 0;
  return silent.map(({ sliceId }) => sliceId);
}

/** What its last heartbeat says is settled; of the rest, nobody is sent anything before it is over. */
function giveUp(state: DispatcherState, { sliceId, lastAtMs, progress }: SliceSign, now: number): void {
  const overAt = lastAtMs + sliceEndsWithinMs(state.job.requestTimeoutMs);
  const slice = state.slices.get(sliceId);
  if (slice === undefined) return;
  const settled = settledPlaces(readProgress(progress, slice.triggers.length));
  loseSlice(state, sliceId, progress, now);
  let place = 0;
  const parts = slice.parts.flatMap(({ chain, count: all }) => {
    let count = 0;
    for (const end = place + all; place < end; place++) if (!settled.has(place)) count++;
    // Whoever is held had a request that failed, and no other after it.
    return count > 0 && chain.place === 'ready' ? [{ chain, count: Math.min(count, chain.triggers.length) }] : [];
  });
  for (const { chain, count } of parts) state.chains.startRunning(chain, count);
  const { permits, isBackfill } = slice;
  const lost = { id: sliceId, permits, parts, overAt, ...(isBackfill === true ? { isBackfill } : {}) };
  state.slices.set(sliceId, givenUp(lost, state.job.revision));
}

/** Puts the triggers back of slices of which nothing can be in flight any more. */
export function endGivenUp(state: DispatcherState, now: number): void {
  for (const { id, parts, overAt = Infinity } of state.slices.values()) {
    if (overAt > now) continue;
    state.slices.delete(id);
    // What comes back has waited for its batch before.
    if (parts.length > 0) gatherNoLonger(state);
    for (const { chain } of parts) {
      state.chains.stopRunning(chain);
      countLeft(state, state.chains.putLiveFirst(chain) ?? [], 'superseded');
    }
  }
}

/** When to look again, or when a slice that was given up is over, epoch ms. */
export function givingUpTimes({ signs, slices }: DispatcherState): number[] {
  const looksAt = signs.isLooking ? undefined : signs.nextAt;
  return [looksAt, ...[...slices.values()].map(({ overAt }) => overAt)].filter((at) => at !== undefined);
}
