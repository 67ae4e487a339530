import { cancelBackfill } from './operating.ts';
import type { PersonTrigger } from './queue/chain.ts';
import { type DispatcherState, type Dropped, countLeft, waitingTriggers } from './state.ts';

/** Drops everything that is waiting, wherever it is, and members that a backfill has found. What is in a slice is dropped when that gives it back. */
export function discardWaiting(state: DispatcherState, now: number): void {
  const before = waitingTriggers(state);
  const triggers = [...dropMembers(state)];
  const dropped = state.chains.discard();
  const own = dropped.map(({ trigger }) => trigger);
  countLeft(state, own, 'discarded');
  const overflow = dropOverflow(state);
  const all = [...triggers, ...dropped, ...overflow.triggers];
  const { holders } = overflow;
  if (all.length + holders.length > 0) state.dropped.push({ at: now, triggers: all, holders });
  const count = before - waitingTriggers(state);
  if (count > 0) state.counters.discarded = (state.counters.discarded ?? 0) + count;
}

function* dropMembers(state: DispatcherState): Iterable<PersonTrigger> {
  const { backfill } = state;
  const members = backfill === undefined ? [] : [...backfill.membersInPages()];
  cancelBackfill(state);
  if (backfill === undefined) return;
  for (const { user, audience, event } of members)
    yield { user, trigger: { audience, event, at: backfill.at, backfill: backfill.n } };
}

function dropOverflow(state: DispatcherState): Pick<Dropped, 'triggers' | 'holders'> {
  const { overflow, owedReleases } = state;
  // A holder that is being started might begin after it was told to end, and stay forever: so it is first allowed to start.
  if (overflow.isEmpty || overflow.isLeaving) return { triggers: [], holders: [] };
  const triggers = [...overflow.here()];
  const notYet = new Set(overflow.range.notYet.map(String));
  const holders = overflow.discard().map(String);
  state.unreadable = undefined;
  owedReleases.push(...holders);
  return { triggers, holders: holders.filter((name) => !notYet.has(name)) };
}
