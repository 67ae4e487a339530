import type { LastFailure } from '../../contract/job-status.ts';
import { ATTEMPT_CODES } from '../attempt-codes.ts';
import { instantOf } from '../instant.ts';
import type { QueuedTrigger } from './queued-trigger.ts';
import { maySend } from './cutting.ts';
import { countLeft, type JobState } from './job-state.ts';
import { chainRoom, isCrowdedOut } from './room.ts';

/** After this many failed attempts, in three quarters of an hour, a trigger may be given up early. */
const EARLY_AFTER = 5;
/** An endpoint that accepted something this recently is well, so triggers that fail do so for their own reasons. */
const WELL_MS = 10 * 60_000;

/** A trigger becomes a dead letter: it leaves the chains, and counts as waiting until its own workflow keeps it. */
export function giveUp(
  state: JobState,
  user: string,
  trigger: QueuedTrigger,
  why: { readonly failure: LastFailure; readonly attempts: number },
): void {
  countLeft(state, [trigger], 'dead');
  // If it comes back, it comes as a live trigger.
  const { backfill: _, ...live } = trigger;
  state.deadLetters.add({ user, trigger: live, ...why });
}

/**
 * A job can keep a few thousand people waiting for their next attempt; with more, everybody else would have to wait for them. So while the
 * endpoint is well, those that have failed most often are given up before the end of their schedule.
 */
export function makeRoom(state: JobState, now: number): void {
  const { chains, budgets, overflow, lastDeliveredAt } = state;
  if (lastDeliveredAt === undefined || now - lastDeliveredAt > WELL_MS || !maySend(state, now)) return;
  const holderFits = chainRoom(state) - budgets.sliceBytes;
  if (isCrowdedOut(state) && chains.bytes > holderFits && !overflow.isEmpty) {
    // Nobody else could even be tried: then gives up as few as make room for some others.
    giveUpMostFailed(state, now, 1, () => chains.bytes <= holderFits);
  } else if (chains.heldBytes >= (budgets.chainBytes * 3) / 4 && !state.breaker.isOpen) {
    const enough = budgets.chainBytes / 2;
    giveUpMostFailed(state, now, EARLY_AFTER, () => chains.heldBytes <= enough);
  }
}

function giveUpMostFailed(state: JobState, now: number, leastFailures: number, isEnough: () => boolean): void {
  const { chains } = state;
  const failed = [...chains.failed()].filter(({ failures }) => failures >= leastFailures);
  failed.sort((a, b) => b.failures - a.failures);
  for (const chain of failed) {
    if (isEnough()) return;
    const attempts = chain.failures;
    const trigger = chains.dropHead(chain);
    const failure = { at: instantOf(now), code: ATTEMPT_CODES.givenUpEarly };
    if (trigger !== undefined) giveUp(state, chain.user, trigger, { failure, attempts });
  }
}
