import { jsonStringBytes } from '../json.ts';
import type { Slice } from './job.ts';
import type { Chains } from './queue/chains.ts';

/** A slice that was given up, as it is carried (`giving-up.ts`). */
export interface CarriedLostSlice {
  readonly id: number;
  readonly permits: number;
  readonly isBackfill?: true;
  /** Epoch ms. */
  readonly overAt: number;
  /** How many of the oldest triggers of each person were in it. */
  readonly people: readonly (readonly [user: string, count: number])[];
}

// {"id":1234567890,"permits":1000,"isBackfill":true,"overAt":1795625131000,"people":[]},"lostSlices":[],
const SLICE_BYTES = 110;
// ["",1000],
const PERSON_BYTES = 10;

/** Bytes that those take when they are carried. */
export function lostBytes(slices: ReadonlyMap<number, Slice>): number {
  let bytes = 0;
  for (const { parts, overAt } of slices.values()) {
    if (overAt === undefined) continue;
    bytes += SLICE_BYTES;
    for (const { chain } of parts) bytes += PERSON_BYTES + jsonStringBytes(chain.user);
  }
  return bytes;
}

export function carryLost(slices: ReadonlyMap<number, Slice>): CarriedLostSlice[] {
  return [...slices.values()].flatMap(({ id, permits, isBackfill, overAt, parts }) => {
    if (overAt === undefined) return [];
    const people = parts.map(({ chain, count }) => [chain.user, count] as const);
    return [{ id, permits, overAt, people, ...(isBackfill === true ? { isBackfill } : {}) }];
  });
}

/** @param revision that of the job now. */
export function restoreLost(
  carried: readonly CarriedLostSlice[] = [],
  chains: Chains,
  revision: number,
): Map<number, Slice> {
  return new Map(
    carried.map(({ id, permits, isBackfill, overAt, people }) => {
      const parts = people.flatMap(([user, count]) => {
        const chain = chains.get(user);
        if (chain?.place !== 'ready') return [];
        chains.startRunning(chain, count);
        return [{ chain, count }];
      });
      return [id, givenUp({ id, permits, parts, overAt, ...(isBackfill === true ? { isBackfill } : {}) }, revision)];
    }),
  );
}

/** A slice of which no more is known than whom it has, and when it is over. */
export function givenUp(
  slice: Pick<Slice, 'id' | 'permits' | 'parts' | 'isBackfill'> & { readonly overAt: number },
  revision: number,
): Slice {
  return { ...slice, revision, triggers: [], cutPermits: slice.permits, startsNoMore: true };
}

/** What is known of the slices that hold up a run. */
export class SliceSigns {
  /** Whether somebody is looking. */
  isLooking = false;
  /** When to look again, epoch ms; undefined: nothing is held up. */
  nextAt: number | undefined;
  /** The last sign of each, and since when it is known. */
  readonly #seen = new Map<number, { readonly lastAtMs: number; readonly since: number }>();

  forget(): void {
    this.nextAt = undefined;
    this.#seen.clear();
  }

  /** Since when it is known that the last sign of a slice is this one. */
  sinceOf(id: number, lastAtMs: number, now: number): number {
    const seen = this.#seen.get(id);
    if (seen?.lastAtMs === lastAtMs) return seen.since;
    this.#seen.set(id, { lastAtMs, since: now });
    return now;
  }
}
