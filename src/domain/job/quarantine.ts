import { jsonStringBytes } from '../json.ts';
import { lossDelayMs } from '../retry.ts';
import { readProgress } from '../slice.ts';
import { silentAfterMs, sliceEndsWithinMs } from './dispatching.ts';
import type { Slice } from './job.ts';
import type { Chains } from './queue/chains.ts';
import { loseSlice, settledPlaces } from './settling.ts';
import { type DispatcherState, countLeft, drawChance } from './state.ts';
import { gatherNoLonger } from './throttles/batching.ts';

/**
 * A worker that was killed, or has lost its connection, no longer heartbeats: the server ends its slices. Their requests may still be open.
 * Until none can be in flight any more, the people in doubt and the permits stay in quarantine, even into the next run. The triggers then
 * go back. People whose slices are lost again and again wait ever longer: one message that ends its worker must not end one after another.
 */

/** The known facts about a slice whose worker has not reported. */
export interface SilentSlice {
  /** Details of its last heartbeat; if they cannot be read, nothing is known to be settled. */
  readonly details: unknown;
  /** Whether the server ended it for lack of heartbeats. Otherwise the last one may have come just now. */
  readonly isSilent: boolean;
  /** Longest time of one of its requests, in ms. */
  readonly requestTimeoutMs: number;
  /** Whether people wait whose slices were lost before, too: since 0.2.0. */
  readonly delaysLost: boolean;
}

/** Whether somebody is in this slice whose last one was lost, too: a message of theirs may be why their worker dies. */
export function hasLostBefore({ slices }: DispatcherState, sliceId: number): boolean {
  return slices.get(sliceId)?.parts.some(({ chain }) => chain.losses > 0) ?? false;
}

/** Settles the triggers that the last heartbeat of a slice reports, and puts the rest in quarantine. */
export function reclaimSlice(
  state: DispatcherState,
  sliceId: number,
  { details, isSilent, requestTimeoutMs, delaysLost }: SilentSlice,
  now: number,
): void {
  const slice = state.slices.get(sliceId);
  if (slice === undefined || slice.overAt !== undefined) return;
  const overAt = now - (isSilent ? silentAfterMs(requestTimeoutMs) : 0) + sliceEndsWithinMs(requestTimeoutMs);
  const settled = settledPlaces(readProgress(details, slice.triggers.length));
  loseSlice(state, sliceId, details, now);
  let place = 0;
  const parts = slice.parts.flatMap(({ chain, count: all }) => {
    let count = 0;
    for (const end = place + all; place < end; place++) if (!settled.has(place)) count++;
    // A chain that is delayed had a request that failed, and no other after it.
    return count > 0 && chain.place === 'ready' ? [{ chain, count: Math.min(count, chain.triggers.length) }] : [];
  });
  for (const { chain, count } of parts) {
    state.chains.startRunning(chain, count);
    chain.losses++;
  }
  const { permits, isBackfill } = slice;
  const lost = { id: sliceId, permits, parts, overAt, ...flagsOf({ isBackfill, delaysLost }) };
  state.slices.set(sliceId, quarantined(lost, state.job.revision));
  // A run that the slice held up ends in the next calm moment.
  state.endTried = 0;
}

/** Puts the triggers of slices back that can have no request in flight any more. */
export function endQuarantines(state: DispatcherState, now: number): void {
  for (const { id, parts, overAt = Infinity, delaysLost } of state.slices.values()) {
    if (overAt > now) continue;
    state.slices.delete(id);
    // Returned triggers have waited for their batch before.
    if (parts.length > 0) gatherNoLonger(state);
    for (const { chain } of parts) {
      // The first time it is hardly their fault: workers are replaced, and machines end.
      if (delaysLost === true && chain.losses > 1)
        state.chains.delay(chain, now + lossDelayMs(chain.losses, drawChance(state)));
      else state.chains.stopRunning(chain);
      countLeft(state, state.chains.putLiveFirst(chain) ?? [], 'superseded');
    }
  }
}

/** When quarantines end, epoch ms. */
export function quarantineEnds({ slices }: DispatcherState): number[] {
  return [...slices.values()].map(({ overAt }) => overAt).filter((at) => at !== undefined);
}

/** A slice in quarantine, as it is carried. */
export interface CarriedLostSlice {
  readonly id: number;
  readonly permits: number;
  readonly isBackfill?: true;
  /** Absent: a release before 0.2.0 lost it, or nobody in it had been lost before. */
  readonly delaysLost?: true;
  /** Epoch ms. */
  readonly overAt: number;
  /** How many of the oldest triggers of each person were in it. */
  readonly people: readonly (readonly [user: string, count: number])[];
}

// {"id":1234567890,"permits":1000,"isBackfill":true,"overAt":1795625131000,"people":[]},"lostSlices":[],
const SLICE_BYTES = 110;
// ["",1000],
const PERSON_BYTES = 10;

/** Bytes that slices in quarantine take when carried. */
export function lostBytes(slices: ReadonlyMap<number, Slice>): number {
  let bytes = 0;
  for (const { parts, overAt } of slices.values()) {
    if (overAt === undefined) continue;
    bytes += SLICE_BYTES;
    for (const { chain } of parts) bytes += PERSON_BYTES + jsonStringBytes(chain.user);
  }
  return bytes;
}

type Flags = Pick<CarriedLostSlice, 'isBackfill' | 'delaysLost'>;

/** The flags that are set. */
function flagsOf({ isBackfill, delaysLost }: { readonly [Flag in keyof Flags]: boolean | undefined }): Flags {
  return { ...(isBackfill === true ? { isBackfill } : {}), ...(delaysLost === true ? { delaysLost } : {}) };
}

export function carryLost(slices: ReadonlyMap<number, Slice>): CarriedLostSlice[] {
  return [...slices.values()].flatMap(({ id, permits, isBackfill, overAt, delaysLost, parts }) => {
    if (overAt === undefined) return [];
    const people = parts.map(({ chain, count }) => [chain.user, count] as const);
    return [{ id, permits, overAt, people, ...flagsOf({ isBackfill, delaysLost }) }];
  });
}

/** @param revision that of the job now. */
export function restoreLost(
  carried: readonly CarriedLostSlice[] = [],
  chains: Chains,
  revision: number,
): Map<number, Slice> {
  return new Map(
    carried.map(({ id, permits, isBackfill, overAt, delaysLost, people }) => {
      const parts = people.flatMap(([user, count]) => {
        const chain = chains.get(user);
        if (chain?.place !== 'ready') return [];
        chains.startRunning(chain, count);
        return [{ chain, count }];
      });
      return [id, quarantined({ id, permits, parts, overAt, ...flagsOf({ isBackfill, delaysLost }) }, revision)];
    }),
  );
}

/** A slice of which only its people and its end are known. */
function quarantined(
  slice: Pick<Slice, 'id' | 'permits' | 'parts' | 'isBackfill' | 'delaysLost'> & { readonly overAt: number },
  revision: number,
): Slice {
  return { ...slice, revision, triggers: [], dispatchedPermits: slice.permits, limits: {}, startsNoMore: true };
}
