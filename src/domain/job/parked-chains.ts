import type { PackedTriggers } from '../../contract/holder.ts';
import { type Chain, type PersonTrigger, type QueuedTrigger, packTriggers } from './queue/chain.ts';
import { isSameDelivery } from './queue/memory.ts';
import { fitting } from './queue/overflow.ts';
import { parkedHolder } from './queue/parking.ts';
import type { DispatcherState } from './state.ts';

/** A chain with fewer bytes than this would take about as many when parked. */
const LEAST_BYTES = 512;
/** How many parked chains are read at once when they are due. */
const MOST_RECALLS = 8;

/** The content of a parked chain, for a holder. */
interface Park {
  readonly number: number;
  readonly content: PackedTriggers;
  readonly bytes: number;
}

/**
 * While held chains take more than their share of the state, the one that is due last is parked: not the chain itself but its oldest
 * triggers go into a holder, so that later triggers of that person still find their place after them.
 */
export function nextPark(state: DispatcherState): Park | undefined {
  const { chains, parking, budgets } = state;
  let excess = chains.heldBytes - budgets.heldBytes;
  for (const { chain } of parking.leaving.values()) if (chain.place === 'held') excess -= chain.bytes;
  if (excess <= 0) return undefined;
  let last: Chain | undefined;
  for (const chain of chains.held()) {
    if (chain.parked !== undefined || chain.bytes < LEAST_BYTES || parking.isLeaving(chain)) continue;
    if (chain.triggers[0]?.backfill !== undefined) continue; // A later live trigger may have to take it out.
    if (last === undefined || chain.notBefore > last.notBefore) last = chain;
  }
  if (last === undefined) return undefined;
  const live = liveAtFront(last);
  const { count, bytes } = fitting(live, budgets.sliceBytes);
  const parked = live.slice(0, count);
  const number = parking.next++;
  parking.leaving.set(number, { chain: last, triggers: parked.map(({ trigger }) => trigger) });
  return { number, content: packTriggers(parked), bytes };
}

/** The holder has the parked triggers. If they have been sent meanwhile, it is no longer needed. */
export function confirmPark(state: DispatcherState, number: number): void {
  const { chains, parking } = state;
  const leaving = parking.leaving.get(number);
  parking.leaving.delete(number);
  if (leaving === undefined) return;
  const { chain, triggers } = leaving;
  const isStillSo =
    chains.get(chain.user) === chain &&
    chain.place === 'held' &&
    chain.parked === undefined &&
    triggers.every((trigger, index) => chain.triggers[index] === trigger);
  if (isStillSo) chains.park(chain, number, triggers.length);
  else state.owedReleases.push(parkedHolder(number));
}

/** A holder could not be reached: the triggers stay where they are. */
export function parkFailed(state: DispatcherState, number: number): void {
  state.parking.leaving.delete(number);
  // It may have got them nevertheless.
  state.owedReleases.push(parkedHolder(number));
}

/** A due chain whose parked triggers are to be read now. */
export function nextUnpark({ chains, parking, budgets }: DispatcherState): Chain | undefined {
  if (parking.coming.size >= MOST_RECALLS) return undefined;
  for (const chain of chains.due) {
    if (parking.coming.has(chain)) continue;
    // While nothing is running and nothing is ready, nothing can be sent to make room.
    const isStuck = chains.heldCount === chains.count && parking.coming.size === 0;
    const bytes = chains.bytes + parking.bytesComing + (chain.parked?.bytes ?? 0);
    if (bytes > budgets.chainBytes && !isStuck) return undefined;
    parking.coming.add(chain);
    return chain;
  }
  return undefined;
}

/** Parked triggers were read. */
export function unpark(state: DispatcherState, chain: Chain, content: readonly PersonTrigger[]): void {
  const { chains, parking, counters } = state;
  const { parked } = chain;
  if (!parking.coming.delete(chain) || parked === undefined) return;
  const triggers = content.map(({ trigger }) => trigger);
  const isRepeat = (behind: QueuedTrigger) =>
    behind.redelivery === undefined &&
    behind.backfill === undefined &&
    triggers.some((one) => isSameDelivery(state.instants, one, behind));
  counters.repeated += chains.unpark(chain, triggers, isRepeat);
  state.owedReleases.push(parkedHolder(parked.number));
}

/** Parked triggers could not be read: they are again at `retryAt` (epoch ms). */
export function unparkFailed({ parking, chains }: DispatcherState, chain: Chain, retryAt: number): void {
  if (parking.coming.delete(chain)) chains.postpone(chain, retryAt);
}

/** The chain whose oldest triggers this holder keeps. */
export function parkedIn({ chains }: DispatcherState, name: string): Chain | undefined {
  for (const chain of chains.held())
    if (chain.parked !== undefined && parkedHolder(chain.parked.number) === name) return chain;
  return undefined;
}

/** Passes parked triggers by, unread; their holder keeps them. */
export function passParkedBy({ chains, parking, profileHolders }: DispatcherState, chain: Chain): void {
  profileHolders.passBy(chain.parked?.profileHolders ?? []);
  parking.coming.delete(chain);
  chains.unpark(chain, []);
}

function liveAtFront({ user, triggers }: Chain): PersonTrigger[] {
  const end = triggers.findIndex(({ backfill }) => backfill !== undefined);
  return triggers.slice(0, end < 0 ? undefined : end).map((trigger) => ({ user, trigger }));
}
