import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import type { SignalDefinition } from '@temporalio/common';
import type { JobStatus, KeptTriggers } from '../contract/job-status.ts';
import { jobWorkflowId, KEPT_JOB, keptWorkflowId } from '../domain/names.ts';
import { discardSignal, keptJobStatusQuery, resumeSignal, resumeUpdate } from '../workflows/messages.ts';
import { clientForLists } from './client-for-lists.ts';
import { RequestRefused } from './errors.ts';
import { ask, describeOpen, endOf, noWorker, queryStatus, updateJob } from './job-service.ts';
import { GRPC, grpcCode } from './server-errors.ts';

const KEPT_QUERY = `WorkflowType = '${KEPT_JOB}' AND ExecutionStatus = 'Running'`;
/** How long a kept job may take to run again, or to be dropped, in ms. */
const DECIDED_MS = 20_000;
const LOOK_AGAIN_MS = 100;

/** What is kept of a job that is not running; undefined when nothing is. */
export async function keptOf(client: Client, jobId: string): Promise<KeptTriggers | undefined> {
  const kept = await describeKept(client, jobId);
  return kept === undefined ? undefined : keptTriggersOf(kept);
}

/** A kept job as the server lists it. */
export interface KeptJobListing extends KeptTriggers {
  /** Says the same about the job as the job's own memo. */
  readonly memo: Record<string, unknown> | undefined;
  readonly startTime: Date;
}

/** All kept jobs, by the job's workflow id. */
export async function listKept(client: Client): Promise<Map<string, KeptJobListing>> {
  const all = new Map<string, KeptJobListing>();
  const end = keptWorkflowId('').length;
  for await (const run of clientForLists(client).workflow.list({ query: KEPT_QUERY })) {
    const { memo, startTime } = run;
    all.set(run.workflowId.slice(0, -end), { memo, startTime, ...keptTriggersOf(run) });
  }
  return all;
}

/**
 * Lets a kept job run again, also one that was paused when it stopped, and gives its status; undefined when nothing is kept of it.
 * @throws RequestRefused when it cannot be started; NoWorker when it does not run within 20 s.
 */
export async function resumeKept(client: Client, jobId: string): Promise<JobStatus | undefined> {
  const kept = await signalKept(client, jobId, resumeSignal);
  if (kept === undefined) return undefined;
  await untilEnded(client, jobId, kept);
  const status = await queryStatus(client, jobId);
  return status.state === 'paused' ? await updateJob(client, jobId, resumeUpdate, []) : status;
}

/**
 * Drops what is kept of a job, and says what that was; undefined when nothing is.
 * @throws RequestRefused, NoWorker
 */
export async function discardKept(client: Client, jobId: string): Promise<KeptTriggers | undefined> {
  const kept = await signalKept(client, jobId, discardSignal);
  if (kept === undefined) return undefined;
  const deadline = await untilEnded(client, jobId, kept);
  // Its job runs once more, to release what is waiting outside its state.
  while ((await endOf(client, jobId)) === undefined) await pause(client, kept, deadline);
  return keptTriggersOf(kept);
}

/** Ends what is kept of a job that is running again by other means. */
export async function dropKept(client: Client, jobId: string): Promise<void> {
  try {
    await keptHandle(client, jobId).terminate('Its job was recovered, with all of this.');
  } catch (error) {
    if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
  }
}

async function signalKept(
  client: Client,
  jobId: string,
  signal: SignalDefinition,
): Promise<WorkflowExecutionDescription | undefined> {
  const kept = await describeKept(client, jobId);
  if (kept === undefined) return undefined;
  try {
    await keptHandle(client, jobId).signal(signal);
    return kept;
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
}

/** Waits until the kept job has been turned into a running one; returns until when the caller may go on waiting, in epoch ms. */
async function untilEnded(client: Client, jobId: string, kept: WorkflowExecutionDescription): Promise<number> {
  const deadline = Date.now() + DECIDED_MS;
  for (;;) {
    const { state, notice } = await ask(client, kept.workflowId, keptJobStatusQuery);
    if (state === 'resumed' || state === 'discarded') return deadline;
    // It is back where it was: what was asked for could not be done.
    if (state === 'kept' && notice !== undefined) throw new RequestRefused(jobId, notice);
    await pause(client, kept, deadline);
  }
}

async function pause(client: Client, { taskQueue }: WorkflowExecutionDescription, deadline: number): Promise<void> {
  if (Date.now() > deadline) throw await noWorker(client, taskQueue, undefined, DECIDED_MS);
  await setTimeout(LOOK_AGAIN_MS);
}

async function describeKept(client: Client, jobId: string): Promise<WorkflowExecutionDescription | undefined> {
  return await describeOpen(client, keptWorkflowId(jobWorkflowId(jobId)));
}

function keptHandle(client: Client, jobId: string) {
  return client.workflow.getHandle(keptWorkflowId(jobWorkflowId(jobId)));
}

function keptTriggersOf({ memo, startTime }: Pick<WorkflowExecutionInfo, 'memo' | 'startTime'>): KeptTriggers {
  const { waiting, keptAt } = memo ?? {};
  return {
    waiting: typeof waiting === 'number' ? waiting : 0,
    keptAt: typeof keptAt === 'string' ? keptAt : startTime.toISOString(),
  };
}
