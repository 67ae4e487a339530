import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  ApplicationFailure,
  type Client,
  type QueryDefinition,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionDescription,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { Problem } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { EventTrigger } from '../contract/trigger.ts';
import { shownToPeople } from '../domain/job-presentation.ts';
import { EXPORT_JOB, jobWorkflowId } from '../domain/names.ts';
import { statusQuery, triggersSignal } from '../workflows/messages.ts';
import { InvalidJob, JobAlreadyRunning, JobNotFound, JobNotRunning, NoWorker, RequestRefused } from './errors.ts';
import type { JobSignals } from './job-pusher.ts';
import { GRPC, grpcCode, isTimeUp } from './server-errors.ts';

/** How long, in ms, a worker may take to answer. */
export const ANSWER_MS = 10_000;
const SIGNAL_DEADLINE_MS = 30_000;
const ASK_AGAIN_MS = 250;
const WORKFLOW_TASK_QUEUE = 1;

/**
 * Asks a job for its status, also one that has ended (as long as the server keeps it).
 * @throws JobNotFound, NoWorker
 */
export async function queryStatus(client: Client, jobId: string): Promise<JobStatus> {
  try {
    return await ask(client, jobWorkflowId(jobId), statusQuery);
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) throw new JobNotFound(jobId, { cause: error });
    throw error;
  }
}

/** The job's status as soon as `isWanted` holds, or as it is after `timeoutMs`. */
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

/**
 * Queries a workflow, also one that has ended.
 * @throws NoWorker; the SDK's WorkflowNotFoundError
 */
export async function ask<T, Args extends unknown[] = []>(
  client: Client,
  workflowId: string,
  query: QueryDefinition<T, Args>,
  { args, answerMs = ANSWER_MS }: { readonly args?: Args; readonly answerMs?: number } = {},
): Promise<T> {
  const handle = client.workflow.getHandle(workflowId);
  const deadline = Date.now() + answerMs;
  for (;;) {
    try {
      return await client.withDeadline(deadline, () => handle.query<T, Args>(query, ...((args ?? []) as Args)));
    } catch (error) {
      if (grpcCode(error) !== GRPC.FAILED_PRECONDITION && !isTimeUp(error)) throw error;
      // FAILED_PRECONDITION means that nobody polls; it also comes for a moment after the start, before the first workflow task.
      const { taskQueue } = await handle.describe();
      const trouble = await noWorker(client, taskQueue, error);
      if (isTimeUp(error) || trouble.lastPollMsAgo === undefined || Date.now() > deadline) throw trouble;
      await setTimeout(ASK_AGAIN_MS);
    }
  }
}

/** Sends one of the job's updates, by name, and returns its answer: the job's new status. */
export async function updateJob(
  client: Client,
  jobId: string,
  update: { readonly name: string },
  args: readonly unknown[],
): Promise<JobStatus> {
  const handle = client.workflow.getHandle(jobWorkflowId(jobId));
  const options = { args: [...args] as [unknown, ...unknown[]], updateId: randomUUID() };
  try {
    return await client.withDeadline(Date.now() + ANSWER_MS, () =>
      handle.executeUpdate<JobStatus, [unknown, ...unknown[]]>(update.name, options),
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw refusalOf(jobId, error);
    if (grpcCode(error) === GRPC.NOT_FOUND) throw await goneJob(client, jobId, error);
    if (!isTimeUp(error)) throw error;
    const { taskQueue } = await describeJob(client, jobId);
    throw await noWorker(client, taskQueue, error);
  }
}

/** Signals triggers to a job under a request id of ours, which the SDK's own signal call does not let us choose. */
export function jobSignals(client: Client, jobId: string): JobSignals {
  const workflowExecution = { workflowId: jobWorkflowId(jobId) };
  const { namespace, identity, loadedDataConverter: converter } = client.options;
  return {
    async signal(triggers: readonly EventTrigger[], requestId: string) {
      let payloads = [converter.payloadConverter.toPayload(triggers)];
      for (const codec of converter.payloadCodecs) payloads = await codec.encode(payloads);
      const request = {
        namespace,
        identity,
        workflowExecution,
        requestId,
        signalName: triggersSignal.name,
        input: { payloads },
      };
      try {
        await client.withDeadline(Date.now() + SIGNAL_DEADLINE_MS, () =>
          client.workflowService.signalWorkflowExecution(request),
        );
      } catch (error) {
        if (grpcCode(error) === GRPC.NOT_FOUND) throw await goneJob(client, jobId, error);
        throw error;
      }
    },
    async history() {
      const found = await describeJob(client, jobId);
      if (!isOpen(found)) throw endedJob(jobId, found.status.name);
      const { historySize, historyLength } = found;
      return { bytes: historySize ?? 0, events: historyLength };
    },
  };
}

/** @throws JobNotFound */
export async function describeJob(client: Client, jobId: string): Promise<WorkflowExecutionDescription> {
  try {
    return await client.workflow.getHandle(jobWorkflowId(jobId)).describe();
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) throw new JobNotFound(jobId, { cause: error });
    throw error;
  }
}

/** How a job's workflow ended, in words; undefined while it is open. @throws JobNotFound */
export async function endOf(client: Client, jobId: string): Promise<string | undefined> {
  const found = await describeJob(client, jobId);
  return isOpen(found) ? undefined : endedAs(found.status.name);
}

/** The open workflow with this id; undefined when there is none. */
export async function describeOpen(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    const found = await client.workflow.getHandle(workflowId).describe();
    return isOpen(found) ? found : undefined;
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
}

/**
 * Starts a job's workflow, with a definition or with what an earlier run carried; returns its run id.
 * @throws JobAlreadyRunning
 */
export async function startJobWorkflow(
  client: Client,
  jobId: string,
  taskQueue: string,
  input: object,
  shown: Parameters<typeof shownToPeople>[1],
): Promise<string> {
  try {
    const { firstExecutionRunId } = await client.workflow.start(EXPORT_JOB, {
      workflowId: jobWorkflowId(jobId),
      taskQueue,
      args: [input],
      ...shownToPeople(jobId, shown),
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
    });
    return firstExecutionRunId;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw new JobAlreadyRunning(jobId, { cause: error });
    throw error;
  }
}

/** Whether a workflow has not ended. */
export function isOpen({ status }: Pick<WorkflowExecutionDescription, 'status'>): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
}

/** Why a job that was asked something is not running: it never existed, or it has ended. */
async function goneJob(client: Client, jobId: string, cause: unknown): Promise<Error> {
  const found = await describeJob(client, jobId).catch((error: unknown) => error);
  if (found instanceof Error) return found;
  const { status } = found as WorkflowExecutionDescription; // What describeJob gives when it does not reject.
  return endedJob(jobId, status.name, cause);
}

/** The words for how a closed workflow ended. */
export function endedAs(status: string): string {
  return ENDS[status] ?? status.toLowerCase().replaceAll('_', ' ');
}
const ENDS: Readonly<Record<string, string>> = { COMPLETED: 'stopped' };

/** Whether a job whose workflow closed like this did not end normally, so that what it had not delivered can be recovered. */
export function endedFromOutside(status: string): boolean {
  return FROM_OUTSIDE.has(status);
}
const FROM_OUTSIDE: ReadonlySet<string> = new Set(['TERMINATED', 'TIMED_OUT', 'FAILED']);

function endedJob(jobId: string, status: string, cause?: unknown): JobNotRunning {
  return new JobNotRunning(jobId, endedAs(status), { fromOutside: endedFromOutside(status), cause });
}

function refusalOf(jobId: string, error: WorkflowUpdateFailedError): Error {
  const { cause } = error;
  if (cause instanceof ApplicationFailure && cause.type === 'InvalidJob') {
    return new InvalidJob((cause.details?.[0] ?? []) as readonly Problem[]); // The workflow's own failure type carries them.
  }
  return new RequestRefused(jobId, cause?.message ?? error.message, { cause: error });
}

/** Says that no worker answered, and when one last asked for work. */
export async function noWorker(
  client: Client,
  taskQueue: string,
  cause?: unknown,
  waitedMs = ANSWER_MS,
): Promise<NoWorker> {
  return new NoWorker(taskQueue, await lastPollMsAgo(client, taskQueue), waitedMs, { cause });
}

/** When a worker last asked this task queue for work, in ms before now; undefined when none did for some minutes. */
async function lastPollMsAgo(client: Client, taskQueue: string): Promise<number | undefined> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: WORKFLOW_TASK_QUEUE,
  });
  const times = (pollers ?? []).flatMap(({ lastAccessTime }) =>
    lastAccessTime == null ? [] : [tsToMs(lastAccessTime)],
  );
  return times.length === 0 ? undefined : Math.max(0, Date.now() - Math.max(...times));
}
