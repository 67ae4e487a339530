import { isStopped } from '../../../src/domain/job/job.ts';
import { describeBackfill } from '../../../src/domain/job/describing-backfills.ts';
import { type CarriedJob, carryJob, estimateBytes, restoreJob } from '../../../src/domain/job/carrying.ts';
import type { DispatcherState } from '../../../src/domain/job/state.ts';
import { must } from './model-ledger.ts';

/** What is counted step by step is what it comes to when it is counted anew, and the estimate is no less than the bytes. */
export function checkBookkeeping(state: DispatcherState): void {
  const carried = JSON.stringify(carryJob(state));
  must(estimateBytes(state) >= carried.length, 'no state is estimated too small');
  const anew = restoreJob(JSON.parse(carried) as CarriedJob);
  must(countsOf(anew).join() === countsOf(state).join(), 'what waits is counted right');
  must(anew.chains.readyCount === state.chains.readyCount + chainsInSlices(state), 'who is ready is counted right');
}

function countsOf({ chains, overflow, deadLetters }: DispatcherState): number[] {
  return [
    chains.triggers,
    chains.bytes,
    chains.delayedBytes,
    chains.delayedCount,
    chains.count,
    chains.waitingSince ?? 0,
    overflow.bytes,
    overflow.triggers,
    overflow.waitingSince ?? 0,
    deadLetters.bytes,
  ];
}

function chainsInSlices({ slices }: DispatcherState): number {
  // What was given up is carried as such.
  return [...slices.values()].reduce((sum, { parts, overAt }) => sum + (overAt === undefined ? parts.length : 0), 0);
}

/** What the present backfill says of itself adds up. */
export function checkBackfill({ backfill, chains, job }: DispatcherState, people: Iterable<string>): void {
  if (backfill === undefined) return;
  const {
    taken,
    delivered,
    superseded,
    leftOut = [],
    deadLetters,
    waiting,
    state,
  } = describeBackfill(backfill, job, 0);
  must(waiting >= backfill.waitingInPages && superseded >= 0, 'a backfill counts nothing twice');
  must(
    state !== 'finished' ||
      taken === leftOut.reduce((sum, { members }) => sum + members, delivered + superseded + deadLetters),
    'a finished backfill accounts for every member',
  );
  const chained = [...people].flatMap((user) => chains.get(user)?.triggers ?? []);
  const inChains = chained.filter((trigger) => trigger.backfill === backfill.n).length;
  must(waiting === backfill.waitingInPages + inChains, 'a backfill knows what of it waits');
}

/** @param isIdle whether nothing is under way that would wake the job. */
export function checkHonestWait(state: DispatcherState, until: number | undefined, now: number, isIdle: boolean): void {
  const waits = state.chains.triggers > 0 && state.pause === undefined && isIdle && !isStopped(state);
  must(!waits || until !== undefined, 'a job with work and nothing running knows when it goes on');
  must(until === undefined || until > now, 'a wait is for a time to come');
}
