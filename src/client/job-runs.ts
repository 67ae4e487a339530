import type { Client } from '@temporalio/client';
import { JOB_ID_PATTERN, jobWorkflowId } from '../domain/names.ts';
import { clientForLists } from './client-for-lists.ts';
import { JobNotFound } from './errors.ts';
import { describeJob } from './job-service.ts';

/** A run of a job's workflow. */
export interface JobRunTimes {
  readonly runId: string;
  readonly startedAtMs: number;
  /** Undefined while it is open. */
  readonly closedAtMs: number | undefined;
}

/**
 * The runs of a job that the server still knows, oldest first: those before each continue-as-new, and those before it was stopped, resumed
 * or recovered.
 *
 * @throws JobNotFound
 */
export async function runsOf(client: Client, jobId: string): Promise<JobRunTimes[]> {
  if (!JOB_ID_PATTERN.test(jobId)) throw new JobNotFound(jobId);
  const workflowId = jobWorkflowId(jobId);
  const runs = new Map<string, JobRunTimes>();
  const add = (run: { readonly runId: string; readonly startTime: Date; readonly closeTime?: Date }): void => {
    const { runId, startTime, closeTime } = run;
    runs.set(runId, { runId, startedAtMs: startTime.getTime(), closedAtMs: closeTime?.getTime() });
  };
  // The list lags a moment behind, so the newest run is looked up separately. It may be gone when older ones are still listed.
  const newest = await describeJob(client, jobId).catch((error: unknown) => error);
  for await (const run of clientForLists(client).workflow.list({ query: `WorkflowId = '${workflowId}'` })) add(run);
  if (newest instanceof Error) {
    if (runs.size === 0 || !(newest instanceof JobNotFound)) throw newest;
  } else add(newest as Awaited<ReturnType<typeof describeJob>>); // What it gives when it does not reject.
  return [...runs.values()].sort((a, b) => a.startedAtMs - b.startedAtMs);
}
