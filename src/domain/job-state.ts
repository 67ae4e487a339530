import type { JobState, BackfillStatus } from '../contract/job-status.ts';

/** Whether a job in this state has stopped, as it should or not: nothing is sent, whether it keeps triggers or not. */
export function hasStopped(state: string): boolean {
  return STOPPED.has(state);
}

const STOPPED: ReadonlySet<string> = new Set<JobState>(['stopped', 'terminated', 'failed', 'timed out', 'canceled']);

/** Whether a backfill in this state has nothing more to send. */
export function isBackfillOver(state: string | undefined): boolean {
  return state !== undefined && BACKFILL_OVER.has(state);
}

const BACKFILL_OVER: ReadonlySet<string> = new Set<BackfillStatus['state']>(['finished', 'cancelled']);
