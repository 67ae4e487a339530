import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  type Client,
  type QueryDefinition,
  QueryNotRegisteredError,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
} from '@temporalio/client';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { tsToMs } from '@temporalio/common/lib/time.js';
import proto from '@temporalio/proto';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { EVENTS_AHEAD } from '../../domain/errors.ts';
import { definedOf } from '../../domain/json.ts';
import type { Remedy } from '../../contract/remedy.ts';
import { ENDED_RUN } from '../../workflows/messages.ts';
import { NoWorker, OutcomeUnknown, WorkerFailed } from './errors.ts';
import { isOpen } from './executions.ts';
import { GRPC, grpcCode, isTimeUp, isTransient } from './server-errors.ts';

// The client says of each command whether it was done or not. A command is therefore sent in two steps. First a query to the same workflow (`ask`):
// it changes nothing, and shows that a worker answers and that this client can read it. If it fails, nothing was sent. Then the command itself, with
// its answer awaited through `settled`.

/** A command, for the error that says that its outcome is unknown. */
export interface Commanded {
  /** The request and its target: `stop of the job "vip"`. */
  readonly what: string;
  /** How to find out what became of it. */
  readonly findOut: Remedy;
}

/**
 * The answer to a command that has been sent. Once the server has the command, it is carried out even if the answer is lost: as soon as a worker
 * comes, say.
 * @throws OutcomeUnknown when there is no answer, or none that this client can read
 */
export async function settled<T>(answer: Promise<T>, { what, findOut }: Commanded): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!isUnsettled(error)) throw error;
    throw new OutcomeUnknown(what, findOut, error);
  }
}

function isUnsettled(error: unknown): error is Error {
  return error instanceof UnknownPayloadKey || mayBeAskedAgain(error);
}

/** Whether there was no answer, and one may come when the same is asked again. */
export function mayBeAskedAgain(error: unknown): error is Error {
  return error instanceof NoWorker || isTransient(error);
}

/** How long, in ms, a worker may take to answer. */
export const ANSWER_MS = 10_000;
const ASK_AGAIN_MS = 250;
const WORKFLOW_TASK_QUEUE = 1;

type DescribedRun = Pick<WorkflowExecutionDescription, 'runId' | 'status'>;

/**
 * Queries a workflow, also one that has ended.
 * @param options.run the run as described, which spares a request; one that has ended is asked itself. Default: the workflow's last run
 * @throws NoWorker; WorkerFailed; the SDK's WorkflowNotFoundError
 */
export async function ask<T, Args extends unknown[] = []>(
  client: Client,
  workflowId: string,
  query: QueryDefinition<T, Args>,
  {
    args,
    answerMs = ANSWER_MS,
    run,
  }: { readonly args?: Args; readonly answerMs?: number; readonly run?: DescribedRun } = {},
): Promise<T> {
  const deadline = Date.now() + answerMs;
  let hasEnded = run !== undefined && !isOpen(run);
  for (let endedRunId = hasEnded ? run?.runId : undefined; ;) {
    const handle = client.workflow.getHandle(workflowId, endedRunId);
    const name = hasEnded ? query.name + ENDED_RUN : query.name;
    try {
      return await client.withDeadline(deadline, () =>
        askRunNow(client, handle, run?.runId, () => handle.query<T, Args>(name, ...((args ?? []) as Args))),
      );
    } catch (error) {
      // FAILED_PRECONDITION means that nobody polls; it also comes for a moment after the start, before the first workflow task.
      if (grpcCode(error) === GRPC.FAILED_PRECONDITION || isTimeUp(error)) {
        const { taskQueue } = await handle.describe();
        const trouble = await noWorker(client, taskQueue, { cause: error, waitedMs: answerMs, workflowId });
        if (isTimeUp(error) || trouble.lastPollMsAgo === undefined || Date.now() > deadline) throw trouble;
      } else if (isAhead(error)) {
        const asked = await handle.describe();
        hasEnded = !isOpen(asked);
        if (hasEnded) endedRunId = asked.runId;
      } else if (hasEnded && error instanceof QueryNotRegisteredError) {
        // Workers of 0.1.0 have no names for runs that have ended.
        hasEnded = false;
      } else if (error instanceof QueryNotRegisteredError) {
        // All that a worker's error about a query is turned into; most often the worker lacks a key.
        const { taskQueue } = await handle.describe();
        throw new WorkerFailed(taskQueue, error.message, { cause: error });
      } else if (!isTransient(error) || Date.now() > deadline) throw error;
      await setTimeout(ASK_AGAIN_MS);
    }
  }
}

/** Whether a worker refused a query that came too early. It answers in a moment, or, if the run has ended, under the other name. */
export function isAhead(error: unknown): boolean {
  return error instanceof QueryNotRegisteredError && error.message === EVENTS_AHEAD;
}

/** How often, in ms, to check whether the workflow has a new run. */
const LOOK_MS = 500;

/**
 * Asks the run that a workflow has now. A query that comes while a run ends goes to that run even after its end. A worker has to replay all of it
 * first, which takes a busy one many seconds, and the answer is out of date. The next run answers at once, so it is asked instead.
 */
async function askRunNow<T>(
  client: Client,
  handle: WorkflowHandle,
  knownRunId: string | undefined,
  question: () => Promise<T>,
): Promise<T> {
  for (let runId = knownRunId; ; runId = undefined) {
    const over = new AbortController();
    const answer = client.withAbortSignal(over.signal, question).then((answered) => ({ answered }));
    try {
      // Does not wait for an abandoned query to end: once the SDK has retried a call, cancelling it ends nothing.
      const first = await Promise.race([answer, untilNextRun(handle, runId, over.signal).catch(() => answer)]);
      if (first !== undefined) return first.answered;
    } finally {
      over.abort();
    }
  }
}

/** Resolves once a workflow has another run than this, or than now; rejects when it is aborted, or when the server does not answer. */
async function untilNextRun(handle: WorkflowHandle, known: string | undefined, signal: AbortSignal): Promise<void> {
  const runId = known ?? (await handle.describe()).runId;
  do await setTimeout(LOOK_MS, undefined, { signal });
  while ((await handle.describe()).runId === runId);
}

/**
 * Has a workflow carry out an update.
 * @throws NoWorker when there is no answer in time; the SDK's WorkflowUpdateFailedError, WorkflowNotFoundError
 */
export async function executeUpdate<T>(
  client: Client,
  { workflowId, taskQueue }: { readonly workflowId: string; readonly taskQueue: string },
  update: { readonly name: string },
  args: readonly unknown[],
  answerMs = ANSWER_MS,
): Promise<T> {
  const handle = client.workflow.getHandle(workflowId);
  const options = { args: [...args] as [unknown, ...unknown[]], updateId: randomUUID() };
  const deadline = Date.now() + answerMs;
  for (;;) {
    try {
      return await client.withDeadline(deadline, () =>
        handle.executeUpdate<T, [unknown, ...unknown[]]>(update.name, options),
      );
    } catch (error) {
      if (isTimeUp(error)) throw await noWorker(client, taskQueue, { cause: error, waitedMs: answerMs, workflowId });
      // The server took it back: it came to a run that was ending, and whose end was refused. With the same id it runs only once.
      if (grpcCode(error) !== GRPC.FAILED_PRECONDITION || Date.now() > deadline) throw error;
      await setTimeout(ASK_AGAIN_MS);
    }
  }
}

/** Returns the error that no worker answered, with the time of the last poll and why the workflow's last task failed. */
export async function noWorker(
  client: Client,
  taskQueue: string,
  {
    cause,
    waitedMs = ANSWER_MS,
    workflowId,
  }: { readonly cause?: unknown; readonly waitedMs?: number; readonly workflowId?: string } = {},
): Promise<NoWorker> {
  const [lastPoll, failure] = await Promise.all([
    lastPollMsAgo(client, taskQueue),
    workflowId === undefined ? undefined : taskFailureOf(client, workflowId).catch(() => undefined),
  ]);
  return new NoWorker(taskQueue, lastPoll, waitedMs, { cause, taskFailure: failure?.message });
}

// It is a CommonJS module, whose exports Node cannot import by name.
const { WorkflowTaskFailedCause } = proto.temporal.api.enums.v1;
const LAST_EVENTS = 10;
const FAILURE_LENGTH = 500;

/**
 * Why the last task of a workflow failed, with the server's code (`NON_DETERMINISTIC_ERROR`); undefined when it did not. The server records only the
 * first of several failures in a row.
 */
export async function taskFailureOf(client: Client, workflowId: string) {
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
    namespace: client.options.namespace,
    execution: { workflowId },
    maximumPageSize: LAST_EVENTS,
  });
  const last = history?.events?.find(
    ({ workflowTaskFailedEventAttributes: failed, workflowTaskCompletedEventAttributes: completed }) =>
      failed != null || completed != null,
  );
  const { failure, cause } = last?.workflowTaskFailedEventAttributes ?? {};
  const error = await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, failure);
  if (error === undefined) return undefined;
  const code = (WorkflowTaskFailedCause[cause ?? 0] ?? '').replace('WORKFLOW_TASK_FAILED_CAUSE_', '');
  return { code, message: error.message.slice(0, FAILURE_LENGTH) };
}

/** Whether any worker has asked this task queue for work in the last minutes. */
export async function isPolled(client: Client, taskQueue: string): Promise<boolean> {
  return (await lastPollMsAgo(client, taskQueue)) !== undefined;
}

/** When a worker last asked this task queue for work, in ms before now; undefined when none did for some minutes. */
async function lastPollMsAgo(client: Client, taskQueue: string): Promise<number | undefined> {
  const times = (await pollersOf(client, taskQueue)).map((one) => one.lastPollMsAgo);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Returns the workers (`1234@host`; `identity` is theirs alone) that have asked this task queue for work in the last minutes, perhaps with their builds. */
export async function pollersOf(client: Client, taskQueue: string) {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: WORKFLOW_TASK_QUEUE,
  });
  return (pollers ?? []).flatMap(({ identity, lastAccessTime, deploymentOptions }) => {
    if (lastAccessTime == null) return [];
    const lastPollMsAgo = Math.max(0, Date.now() - tsToMs(lastAccessTime));
    const build = deploymentOptions?.buildId || undefined;
    return [
      { worker: identity?.split(' ')[0] ?? '', identity: identity ?? '', lastPollMsAgo, ...definedOf({ build }) },
    ];
  });
}
