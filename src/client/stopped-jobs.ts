import type { Client } from '@temporalio/client';
import type { JobStatus } from '../contract/job-status.ts';
import { resumeUpdate, type StopRequest, stopUpdate } from '../workflows/messages.ts';
import { JobKept, JobNotFound, JobNotRunning } from './errors.ts';
import { endOf, queryStatus, updateJob } from './job-service.ts';
import { discardKept, keptOf, resumeKept } from './kept-jobs.ts';

// What may be asked of a job that does not run: then what it kept answers in its place.

/**
 * How a job is doing; of one that has ended, how it was at its end, and what it kept.
 * @throws JobNotFound; JobKept when the server has forgotten the job itself.
 */
export async function statusOf(client: Client, jobId: string): Promise<JobStatus> {
  // First: an end between the two is then seen the next time.
  const ended = await endOf(client, jobId).catch((error: unknown) => keptOrGone(client, jobId, error));
  const status = await queryStatus(client, jobId);
  if (ended === undefined) return status;
  // What was to come next does not come any more.
  const { reason: _, endpoint: _endpoint, throttledUntil: _throttled, ...rest } = status;
  const kept = await keptOf(client, jobId);
  return {
    ...rest,
    state: 'stopped',
    ...(ended === 'stopped' ? {} : { reason: `Its workflow has ended: ${ended}.` }),
    ...(kept === undefined ? {} : { kept }),
  };
}

/** Lets a job send again: a paused one, or a stopped one that kept what waited. */
export async function resume(client: Client, jobId: string): Promise<JobStatus> {
  try {
    return await updateJob(client, jobId, resumeUpdate, []);
  } catch (error) {
    const status = isGone(error) ? await resumeKept(client, jobId) : undefined;
    if (status === undefined) throw error;
    return status;
  }
}

/** Ends a job; what a stopped one kept can be discarded only. */
export async function stop(client: Client, jobId: string, request: StopRequest): Promise<JobStatus> {
  try {
    return await updateJob(client, jobId, stopUpdate, [request]);
  } catch (error) {
    const kept = isGone(error) && request.waiting === 'discard' ? await discardKept(client, jobId) : undefined;
    if (kept === undefined) throw error;
    return { ...(await statusOf(client, jobId)), waiting: kept.waiting };
  }
}

function isGone(error: unknown): boolean {
  return error instanceof JobNotRunning || error instanceof JobNotFound;
}

async function keptOrGone(client: Client, jobId: string, error: unknown): Promise<never> {
  const kept = error instanceof JobNotFound ? await keptOf(client, jobId) : undefined;
  throw kept === undefined ? error : new JobKept(jobId, kept);
}
