import { setTimeout } from 'node:timers/promises';
import {
  ApplicationFailure,
  type Client,
  type QueryDefinition,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionDescription,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { Problem } from '../../contract/export-job.ts';
import type { JobStatus, JobTrend } from '../../contract/job-status.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../domain/names.ts';
import { Meter, trendUntil } from '../../domain/trend.ts';
import { shownToPeople } from './shown-to-people.ts';
import { statusQuery, trendQuery } from '../../workflows/messages.ts';
import { ANSWER_MS, ask, type Commanded, executeUpdate, isAhead, settled } from '../calls/asking.ts';
import { InvalidJob, JobAlreadyRunning, JobNotFound, JobNotRunning, RequestRefused } from '../calls/errors.ts';
import { describeLast, endedAs, endedFromOutside, isOpen, isStopped } from '../calls/executions.ts';
import { neverBegun, wrongDefinition } from '../calls/events.ts';
import { withRetries } from '../calls/with-retries.ts';
import { GRPC, grpcCode } from '../calls/server-errors.ts';

/** A command to a job. */
export function ofJob(command: string, jobId: string): Commanded {
  return { what: `"${command}" of the job "${jobId}"`, findOut: { action: 'status', job: jobId } };
}

/**
 * Asks a job for its status, also one that has ended (as long as the server keeps it).
 * @throws JobNotFound, NoWorker
 */
export async function queryStatus(client: Client, jobId: string): Promise<JobStatus> {
  return byNow(await askJob(client, jobId, statusQuery));
}

function byNow(status: JobStatus): JobStatus {
  const { meter, ...rates } = status.ratePerSecond;
  return { ...status, ratePerSecond: meter === undefined ? rates : new Meter(meter).rates(Date.now()) };
}

/** @throws JobNotFound, NoWorker */
export async function askJob<T>(
  client: Client,
  jobId: string,
  query: QueryDefinition<T, [] | [number]>,
  args: [] | [number] = [],
): Promise<T> {
  try {
    return await ask(client, jobWorkflowId(jobId), query, { args });
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) throw new JobNotFound(jobId, { cause: error });
    throw error;
  }
}

/**
 * Returns the last hour and the last day of a job, also of one that has ended (as long as the server keeps it). A job that has not begun has none.
 * @throws JobNotFound, NoWorker
 */
export async function queryTrend(client: Client, jobId: string): Promise<JobTrend> {
  const trend = (await askJob(client, jobId, trendQuery)) ?? { v: 1, hour: [], day: [] };
  return trendUntil(trend, Date.now());
}

/** How long, in ms, to wait for a new job to begin before returning anyway. */
export const START_WAIT_MS = 10_000;

/** Returns the job's status as soon as `isAsWanted` holds, or after `timeoutMs`. */
export async function statusWhen(
  client: Client,
  jobId: string,
  isAsWanted: (status: JobStatus) => boolean,
  timeoutMs: number,
): Promise<JobStatus> {
  const deadline = Date.now() + timeoutMs;
  for (let pauseMs = 25; ; pauseMs = Math.min(pauseMs * 2, 1000)) {
    const status = await queryStatus(client, jobId);
    if (isAsWanted(status) || Date.now() > deadline) return status;
    await setTimeout(pauseMs);
  }
}

/** Returns a job's status, within 2 s. See `queryQuickly`. */
export async function quickStatus(client: Client, workflowId: string): Promise<JobStatus | undefined> {
  return await queryQuickly(client, workflowId, statusQuery);
}

/**
 * Returns a job's answer within 2 s; undefined when there is none, it has ended, or it cannot be read here. For asking many jobs, when one may
 * be missing.
 */
export async function queryQuickly<T>(
  client: Client,
  workflowId: string,
  query: QueryDefinition<T>,
): Promise<T | undefined> {
  const deadline = Date.now() + QUICK_MS;
  const question = () => client.withDeadline(deadline, () => client.workflow.getHandle(workflowId).query(query));
  try {
    return await question().catch((error: unknown) => {
      if (isAhead(error)) return question();
      throw error;
    });
  } catch {
    return undefined;
  }
}

const QUICK_MS = 2_000;

/**
 * Sends one of the job's updates, by name, and returns its answer: the job's new status. It asks for the status first, so that nothing is sent to a job
 * without a worker, or one whose answers cannot be read here.
 * @throws JobNotFound, JobNotRunning, RequestRefused, InvalidJob; NoWorker, UnknownPayloadKey: nothing was sent; OutcomeUnknown
 */
export async function updateJob(
  client: Client,
  jobId: string,
  update: { readonly name: string },
  args: readonly unknown[],
  { answerMs = ANSWER_MS, mayBeStopped = false }: { readonly answerMs?: number; readonly mayBeStopped?: boolean } = {},
): Promise<JobStatus> {
  const found = await (mayBeStopped ? openJob : runningJob)(client, jobId);
  await queryStatus(client, jobId);
  try {
    return byNow(
      await settled(executeUpdate<JobStatus>(client, found, update, args, answerMs), ofJob(update.name, jobId)),
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw refusalOf(jobId, error);
    if (grpcCode(error) === GRPC.NOT_FOUND) throw await goneJob(client, jobId, error);
    throw error;
  }
}

/** How long, in ms, a command waits until all workers have confirmed that they begin no further request. */
const QUIET_MS = 5_000;

/**
 * Returns the status of a job that was told to begin no further request, as soon as none can begin. After 5 s it returns it with `mayStillSend`: this is not
 * known then.
 */
export async function untilQuiet(client: Client, jobId: string, status: JobStatus): Promise<JobStatus> {
  const deadline = Date.now() + QUIET_MS;
  for (let last = status; ; await setTimeout(LOOK_AGAIN_MS)) {
    const answerMs = deadline - Date.now();
    if (last.mayStillSend !== true || answerMs <= 0) return byNow(last);
    last = await ask(client, jobWorkflowId(jobId), statusQuery, { answerMs }).catch(() => last);
  }
}

const LOOK_AGAIN_MS = 50;

/** The workflow of a job that runs. @throws JobNotFound, JobNotRunning */
export async function runningJob(client: Client, jobId: string): Promise<WorkflowExecutionDescription> {
  const found = await openJob(client, jobId);
  if (isStopped(found)) throw new JobNotRunning(jobId, 'stopped', { left: 'kept' });
  return found;
}

/** The workflow of a job that runs, or has stopped and keeps what waits. @throws JobNotFound, JobNotRunning */
async function openJob(client: Client, jobId: string): Promise<WorkflowExecutionDescription> {
  const found = await describeExecution(client, jobId);
  if (!isOpen(found)) throw await endedJob(client, jobId, found);
  return found;
}

/** @throws JobNotFound */
export async function describeExecution(client: Client, jobId: string): Promise<WorkflowExecutionDescription> {
  try {
    return await client.workflow.getHandle(jobWorkflowId(jobId)).describe();
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) throw new JobNotFound(jobId, { cause: error });
    throw error;
  }
}

/** How a job's workflow ended, in words; undefined while it is open. @throws JobNotFound */
export async function endOf(client: Client, jobId: string): Promise<string | undefined> {
  const found = await describeExecution(client, jobId);
  return isOpen(found) ? undefined : endedAs(found.status.name);
}

/** How long, in ms, a server may refuse search attributes that it lists: each of its parts reloads a namespace every 2 s, in older releases 10 s. */
const NEW_ATTRIBUTES_MS = 15_000;

/**
 * Starts a job's workflow, with a worker's answer about its definition or the carried state of an earlier run; returns its run id. Right after
 * `triggers setup` this may take some seconds.
 * @throws JobAlreadyRunning
 */
export async function startJobWorkflow(
  client: Client,
  jobId: string,
  taskQueue: string,
  input: object,
  shown: Parameters<typeof shownToPeople>[1],
): Promise<string> {
  const options = shownToPeople(jobId, shown);
  const start = () =>
    client.workflow.start(EXPORT_JOB, {
      workflowId: jobWorkflowId(jobId),
      taskQueue,
      args: [input],
      ...options,
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
    });
  try {
    const { firstExecutionRunId } = await withRetries(start, {
      deadlineMs: performance.now() + NEW_ATTRIBUTES_MS,
      mayHelp: (error) => 'typedSearchAttributes' in options && grpcCode(error) === GRPC.INVALID_ARGUMENT,
    });
    return firstExecutionRunId;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw new JobAlreadyRunning(jobId, { cause: error });
    throw error;
  }
}

/** Returns why a job is not running: it never existed, or it has ended. */
export async function goneJob(client: Client, jobId: string, cause: unknown): Promise<Error> {
  const found = await describeExecution(client, jobId).catch((error: unknown) => error);
  if (found instanceof Error) return found;
  return await endedJob(client, jobId, found as WorkflowExecutionDescription, cause); // describeExecution resolves with nothing else.
}

async function endedJob(
  client: Client,
  jobId: string,
  ended: WorkflowExecutionDescription,
  cause?: unknown,
): Promise<JobNotRunning> {
  const { name } = ended.status;
  const wrong = await neverBegun(client, ended);
  const why = wrong === undefined || wrong.mayBegin ? {} : { why: wrongDefinition(wrong) };
  const left = endedFromOutside(name) ? ({ left: 'recoverable' } as const) : {};
  return new JobNotRunning(jobId, endedAs(name), { ...left, ...why, cause });
}

/** Whether a job runs, or can be resumed or recovered. */
export async function mayRunAgain(client: Client, jobId: string): Promise<boolean> {
  const found = await describeLast(client, jobWorkflowId(jobId));
  return found !== undefined && (isOpen(found) || endedFromOutside(found.status.name));
}

function refusalOf(jobId: string, error: WorkflowUpdateFailedError): Error {
  const { cause } = error;
  if (cause instanceof ApplicationFailure && cause.type === 'InvalidJob') {
    return new InvalidJob((cause.details?.[0] ?? []) as readonly Problem[], { isEdit: true }); // The workflow's own failure type carries them.
  }
  const code = cause instanceof ApplicationFailure ? (cause.type ?? undefined) : undefined;
  return new RequestRefused(jobId, cause?.message ?? error.message, { code, cause: error });
}
