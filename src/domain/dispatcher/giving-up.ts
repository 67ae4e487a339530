import type { LastFailure } from '../../contract/job-status.ts';
import { ATTEMPT_CODES } from '../attempt-codes.ts';
import { instantOf } from '../instant.ts';
import type { QueuedTrigger } from './carried.ts';
import type { Chain } from './chain.ts';
import { countLeft, type JobState } from './job-state.ts';

/** Failed attempts from which on a trigger may be given up early: it was tried for three quarters of an hour. */
const EARLY_AFTER = 5;
/** An endpoint that took something this lately is well: then what fails fails by itself. */
const WELL_MS = 10 * 60_000;

/** A trigger becomes a dead letter: it leaves the chains, and counts as waiting until its own workflow keeps it. */
export function giveUp(
  state: JobState,
  user: string,
  trigger: QueuedTrigger,
  why: { readonly failure: LastFailure; readonly attempts: number },
): void {
  countLeft(state, [trigger], 'dead');
  // Should it come back, it comes as a live trigger.
  const { backfill: _, ...live } = trigger;
  state.deadLetters.add({ user, trigger: live, ...why });
}

/**
 * A job can keep some thousand people waiting for their next attempt, and no more; beyond, everybody else would wait for them. So while
 * the endpoint is well, those of them that failed most often are given up before the end of their schedule.
 */
export function makeRoom(state: JobState, now: number): void {
  const { chains, budgets, lastDeliveredAt } = state;
  if (chains.heldBytes < (budgets.chainBytes * 3) / 4) return;
  if (lastDeliveredAt === undefined || now - lastDeliveredAt > WELL_MS || state.breaker.isOpen) return;
  const enough = budgets.chainBytes / 2;
  for (const chain of mostFailed(chains.held())) {
    if (chains.heldBytes <= enough) return;
    const attempts = chain.failures;
    const trigger = chains.dropHead(chain);
    const failure = { at: instantOf(now), code: ATTEMPT_CODES.givenUpEarly };
    if (trigger !== undefined) giveUp(state, chain.user, trigger, { failure, attempts });
  }
}

function mostFailed(held: Iterable<Chain>): Chain[] {
  return [...held]
    .filter(({ failures, parked }) => failures >= EARLY_AFTER && parked === undefined)
    .sort((a, b) => b.failures - a.failures);
}
