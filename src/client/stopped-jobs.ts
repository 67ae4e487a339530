import { setTimeout } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { JobStatus } from '../contract/job-status.ts';
import { instantOf } from '../domain/instant.ts';
import { resumeUpdate, type StopRequest, stopUpdate } from '../workflows/messages.ts';
import { withBackfillTrouble } from './backfill-trouble.ts';
import { JobKept, JobNotFound, JobNotRunning, RequestRefused } from './errors.ts';
import { describeJob, endedAs, endOf, isOpen, queryStatus, updateJob } from './job-service.ts';
import { discardKept, keptOf, resumeKept } from './kept-jobs.ts';
import { recoverableUntil } from './recovery.ts';

/** How long, in ms, a job that was stopped with keep may take to end: its running slices end first. */
const STOP_MS = 30_000;
const LOOK_AGAIN_MS = 100;

// What may be asked of a job that is not running: then what it kept answers in its place.

/**
 * How a job is doing; for one that has ended, how it was at its end, and what it kept.
 * @throws JobNotFound; JobKept when the server has forgotten the job itself.
 */
export async function statusOf(client: Client, jobId: string): Promise<JobStatus> {
  // Before the query: if the job ends between the two, the next call sees it.
  const found = await describeJob(client, jobId).catch((error: unknown) => keptOrGone(client, jobId, error));
  const status = await queryStatus(client, jobId);
  if (isOpen(found)) return await withBackfillTrouble(client, status);
  // What it was waiting for no longer applies.
  const { reason: _, endpoint: _endpoint, throttledUntil: _throttled, ...rest } = status;
  const [kept, until] = await Promise.all([keptOf(client, jobId), recoverableUntil(client, found)]);
  return {
    ...rest,
    state: 'stopped',
    ...(until === undefined
      ? {}
      : {
          reason: `Its workflow did not end normally: ${endedAs(found.status.name)}. Recover it before you start it again: triggers recover ${jobId}`,
          recoverableUntil: instantOf(until),
        }),
    ...(kept === undefined ? {} : { kept }),
  };
}

/** Lets a job send again: one that is paused, or was stopped (or is being stopped) with keep. */
export async function resume(client: Client, jobId: string): Promise<JobStatus> {
  try {
    return await updateJob(client, jobId, resumeUpdate, []);
  } catch (error) {
    if (error instanceof RequestRefused) await untilStopped(client, jobId, error);
    const status = isGone(error) || error instanceof RequestRefused ? await resumeKept(client, jobId) : undefined;
    if (status === undefined) throw error;
    return status;
  }
}

/** Ends a job; what a stopped one kept can only be discarded. */
export async function stop(client: Client, jobId: string, request: StopRequest): Promise<JobStatus> {
  try {
    return await updateJob(client, jobId, stopUpdate, [request]);
  } catch (error) {
    const kept = isGone(error) && request.waiting === 'discard' ? await discardKept(client, jobId) : undefined;
    if (kept === undefined) throw error;
    return { ...(await statusOf(client, jobId)), waiting: kept.waiting };
  }
}

/** A job that was stopped with keep has kept its triggers within moments, and can then be resumed. @throws `refusal` when it keeps running */
async function untilStopped(client: Client, jobId: string, refusal: RequestRefused): Promise<void> {
  const deadline = Date.now() + STOP_MS;
  while ((await endOf(client, jobId)) === undefined) {
    if (Date.now() > deadline) throw refusal;
    await setTimeout(LOOK_AGAIN_MS);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof JobNotRunning || error instanceof JobNotFound;
}

async function keptOrGone(client: Client, jobId: string, error: unknown): Promise<never> {
  const kept = error instanceof JobNotFound ? await keptOf(client, jobId) : undefined;
  throw kept === undefined ? error : new JobKept(jobId, kept);
}
