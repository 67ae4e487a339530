import { CancellationScope } from '@temporalio/workflow';
import { isCarriedJob } from '../domain/dispatcher/carried.ts';
import { restoreJob } from '../domain/dispatcher/job-state.ts';
import type { JobDesk } from './job-desk.ts';
import { JobInbox } from './job-inbox.ts';
import { prepare } from './job-preparation.ts';
import { JobRun } from './job-run.ts';

/** The result of a stopped job. What it kept is in the workflow `keptJob`. */
export interface ExportJobResult {
  readonly received: number;
  readonly delivered: number;
}

/**
 * One export job, for its whole life. Takes enters and exits by signal, sends each by POST in its person's order, with at most Parallel
 * Request Count requests in flight, and continues as new before its history grows long.
 *
 * @param input the job's definition, as in a job file, or what the previous run carried.
 */
export async function exportJob(input: unknown): Promise<ExportJobResult> {
  const inbox = new JobInbox();
  let openDesk: (desk: JobDesk) => void = () => undefined;
  const desk = new Promise<JobDesk>((resolve) => (openDesk = resolve));
  const state = isCarriedJob(input) ? restoreJob(input) : await prepare(input, inbox, desk);
  if (state === undefined) return { received: inbox.waitingTriggers, delivered: 0 };
  const run = new JobRun(state, inbox);
  openDesk(run.desk);
  // Cancelling a job stops it in order, so what it does meanwhile must not be cancelled.
  void CancellationScope.current().cancelRequested.catch(() => run.cancel());
  await CancellationScope.nonCancellable(() => run.untilDone());
  return { received: state.counters.received, delivered: state.counters.delivered };
}
