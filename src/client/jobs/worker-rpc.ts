import { randomUUID } from 'node:crypto';
import { type Client, TimeoutFailure, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, rootCause, TimeoutType } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { QUICK_MS, type RpcAnswer, type RpcArgument, type WorkerRpc } from '../../domain/worker-rpc.ts';
import { WORKER_RPC } from '../../domain/names.ts';
import { ANSWER_MS, noWorker } from '../calls/asking.ts';
import { WorkerFailed } from '../calls/errors.ts';
import { historyEvents } from '../calls/events.ts';
import { isTimeUp } from '../calls/server-errors.ts';

/**
 * Has a short workflow answer what only a worker knows. The question is encrypted, if there are keys. A worker that lacks the key is thus found before it
 * gets a signal that it could not read.
 *
 * @param answerMs how long an answer may take
 * @param workflowId of the short workflow. Default: a new one.
 * @throws NoWorker; WorkerFailed when a worker tried and failed
 */
export async function workerRpc<Activity extends (...argument: never[]) => Promise<unknown>>(
  client: Client,
  taskQueue: string,
  rpc: WorkerRpc<Activity>,
  argument: RpcArgument<Activity>,
  answerMs = ANSWER_MS,
  workflowId = rpcWorkflowId(rpc),
): Promise<RpcAnswer<Activity>> {
  type Answer = RpcAnswer<Activity>;
  const { method, summary } = rpc;
  const handle = await client.workflow.start<(method: string, argument: RpcArgument<Activity>) => Promise<Answer>>(
    WORKER_RPC,
    {
      workflowId,
      taskQueue,
      args: [method, argument],
      staticSummary: summary,
      workflowExecutionTimeout: Math.max(60_000, answerMs),
    },
  );
  const answer = async (untilMs: number): Promise<Answer> =>
    await client.withDeadline(untilMs, (): Promise<Answer> => handle.result());
  const endsAtMs = Date.now() + QUICK_MS + answerMs;
  try {
    return await answer(Math.min(endsAtMs, Date.now() + LOOK_MS)).catch(async (error: unknown) => {
      if (!isTimeUp(error)) throw error;
      // Do not wait to the end for a worker that cannot read the question.
      await refuseUntakeable(client, taskQueue, handle);
      return await answer(endsAtMs);
    });
  } catch (error) {
    const isOver = error instanceof WorkflowFailedError;
    if (!isOver && !isTimeUp(error)) throw error;
    const { failure, isBegun = false } = isOver ? { failure: error.cause } : await lastTry(client, handle.workflowId);
    if (!isOver) await handle.terminate('nobody answered in time').catch(() => undefined);
    if (failure === undefined && isBegun) throw new WorkerFailed(taskQueue, silence(answerMs), { cause: error });
    if (failure === undefined || isUntaken(failure))
      throw await noWorker(client, taskQueue, { cause: error, waitedMs: answerMs });
    throw new WorkerFailed(taskQueue, reasonOf(failure), { cause: failure });
  }
}

/** Returns a new id for the workflow that asks a question. */
export function rpcWorkflowId({ id }: WorkerRpc): string {
  return `${id}-${randomUUID()}`;
}

/** Returns the state of an unanswered question: whether a worker has begun it, and how an earlier try failed. */
async function lastTry(client: Client, workflowId: string): Promise<{ failure: Error | undefined; isBegun: boolean }> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const pending = raw.pendingActivities ?? [];
  const failure = pending.find(({ lastFailure }) => lastFailure != null)?.lastFailure;
  return {
    failure: await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, failure),
    isBegun: pending.some(({ state }) => Number(state) === STARTED),
  };
}

/** `PENDING_ACTIVITY_STATE_STARTED` */
const STARTED = 2;

function silence(answerMs: number): string {
  return `It has been at it for ${Math.round(answerMs / 1000)} s: most often its audience source takes a question and does not answer.`;
}

/** After how many ms an unanswered question is first looked at. */
const LOOK_MS = 2_000;
const OTHER_RELEASE =
  "Its release does not know this question: use a program of the workers' release, or upgrade the workers.";
const OTHER_KEYS =
  'It cannot take up what it is asked, most often since its payload keys are not those of this program: give both the same (TRIGGERS_PAYLOAD_KEYS).';

/** @throws WorkerFailed when a worker has polled a question and could not even begin it */
async function refuseUntakeable(
  client: Client,
  taskQueue: string,
  question: {
    readonly workflowId: string;
    readonly firstExecutionRunId: string;
    terminate(why: string): Promise<unknown>;
  },
): Promise<void> {
  for await (const event of historyEvents(client, question.workflowId, question.firstExecutionRunId)) {
    const { failure } = event.workflowTaskFailedEventAttributes ?? {};
    if (failure == null) continue;
    await question.terminate('no worker can take it up').catch(() => undefined);
    // Its message about a missing key is not encrypted (`failure-converter.ts`).
    throw new WorkerFailed(taskQueue, `${OTHER_KEYS} It says: ${failure.message ?? ''}`, { hasOtherKeys: true });
  }
}

function reasonOf(failure: Error): string {
  const isUnknown = failure instanceof ApplicationFailure && failure.type === 'UnknownMethod';
  return isUnknown ? OTHER_RELEASE : (rootCause(failure) ?? failure.message);
}

/** Whether it failed because no worker was free. */
function isUntaken({ cause }: Error): boolean {
  return cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START;
}
