import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  ApplicationFailure,
  Client,
  type QueryDefinition,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowExecutionDescription,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { Problem } from '../../contract/export-job.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { EventTrigger } from '../../contract/trigger.ts';
import { keyMissing } from '../../domain/errors.ts';
import { EXPORT_JOB, jobWorkflowId, keptWorkflowId } from '../../domain/names.ts';
import { shownToPeople } from '../../domain/shown.ts';
import { payloadConverterPath } from '../../temporal/data-converter.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { payloadConverter } from '../../temporal/payload-converter.ts';
import { statusQuery, triggersSignal } from '../../workflows/messages.ts';
import {
  InvalidJob,
  JobAlreadyRunning,
  JobNotFound,
  JobNotRunning,
  NoWorker,
  OutcomeUnknown,
  RequestRefused,
} from '../errors.ts';
import { neverBegun, wrongDefinition } from '../history/events.ts';
import type { JobSignals } from '../push/job-pusher.ts';
import { GRPC, grpcCode, isTimeUp, isTransient } from '../server-errors.ts';

const made = new WeakMap<Client, Client>();

/**
 * A client for lists: what cannot be decrypted here becomes a value that says why (`undecodableReason`). A list includes workflows of others
 * that are encrypted with their own keys; with a client that insisted on reading all, one of those would make the whole list fail.
 */
export function clientForLists(client: Client): Client {
  const known = made.get(client);
  if (known !== undefined) return known;
  const { connection, options } = client;
  const { namespace, loadedDataConverter } = options;
  const payloadCodecs = loadedDataConverter.payloadCodecs.map(sayingWhy);
  const lenient = new Client({ connection, namespace, dataConverter: { payloadConverterPath, payloadCodecs } });
  made.set(client, lenient);
  return lenient;
}

function sayingWhy(codec: PayloadCodec): PayloadCodec {
  return {
    encode: (payloads) => codec.encode(payloads),
    decode: (payloads) => Promise.all(payloads.map((payload) => decodedOrWhyNot(codec, payload))),
  };
}

async function decodedOrWhyNot(codec: PayloadCodec, payload: Payload): Promise<Payload> {
  try {
    const [decoded = payload] = await codec.decode([payload]);
    return decoded;
  } catch (error) {
    return error instanceof UnknownPayloadKey ? payloadConverter.toPayload(keyMissing(error.message)) : payload;
  }
}

// What the client commands is done or not done, and the client says which. So a command is sent in two steps: first a query to the same workflow
// (`ask`), which changes nothing and shows that a worker answers and that this client can read it; if that fails, nothing was sent. Then the command
// itself, with its answer awaited through `settled`.

/** What was commanded, for the error that says that nobody knows what became of it. */
export interface Commanded {
  /** What was asked, of whom: `stop of the job "vip"`. */
  readonly what: string;
  /** How to find out what became of it: a command of ours, where there is one. */
  readonly findOut: string;
}

/**
 * The answer to a command that has been sent. Once the server has it, it is carried out even when its answer is lost: as soon as a worker comes, say.
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
  return error instanceof NoWorker || error instanceof UnknownPayloadKey || isTransient(error);
}

/** A command to a job. */
export function ofJob(command: string, jobId: string): Commanded {
  return { what: `"${command}" of the job "${jobId}"`, findOut: `triggers status ${jobId}` };
}

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
      // FAILED_PRECONDITION means that nobody polls; it also comes for a moment after the start, before the first workflow task.
      if (grpcCode(error) === GRPC.FAILED_PRECONDITION || isTimeUp(error)) {
        const { taskQueue } = await handle.describe();
        const trouble = await noWorker(client, taskQueue, error);
        if (isTimeUp(error) || trouble.lastPollMsAgo === undefined || Date.now() > deadline) throw trouble;
      } else if (!isTransient(error) || Date.now() > deadline) throw error;
      await setTimeout(ASK_AGAIN_MS);
    }
  }
}

/** What a job answers within 2 s; undefined when it does not, has ended, or cannot be read here. For those who ask many, and can do without one. */
export async function quickStatus(client: Client, workflowId: string): Promise<JobStatus | undefined> {
  try {
    return await client.withDeadline(Date.now() + QUICK_MS, () =>
      client.workflow.getHandle(workflowId).query(statusQuery),
    );
  } catch {
    return undefined;
  }
}

const QUICK_MS = 2_000;

/**
 * Sends one of the job's updates, by name, and returns its answer: the job's new status. The job is asked for its status first, so that nothing
 * is sent to a job that nobody works for, or whose answers cannot be read here.
 * @throws JobNotFound, JobNotRunning, RequestRefused, InvalidJob; NoWorker, UnknownPayloadKey: nothing was sent; OutcomeUnknown
 */
export async function updateJob(
  client: Client,
  jobId: string,
  update: { readonly name: string },
  args: readonly unknown[],
  answerMs = ANSWER_MS,
): Promise<JobStatus> {
  const found = await describeExecution(client, jobId);
  if (!isOpen(found)) throw await endedJob(client, jobId, found);
  await queryStatus(client, jobId);
  try {
    return await settled(executeUpdate<JobStatus>(client, found, update, args, answerMs), ofJob(update.name, jobId));
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw refusalOf(jobId, error);
    if (grpcCode(error) === GRPC.NOT_FOUND) throw await goneJob(client, jobId, error);
    throw error;
  }
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
  try {
    return await client.withDeadline(Date.now() + answerMs, () =>
      handle.executeUpdate<T, [unknown, ...unknown[]]>(update.name, options),
    );
  } catch (error) {
    throw isTimeUp(error) ? await noWorker(client, taskQueue, error, answerMs) : error;
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
      const found = await describeExecution(client, jobId);
      if (!isOpen(found)) throw await endedJob(client, jobId, found);
      const { historySize, historyLength } = found;
      return { bytes: historySize ?? 0, events: historyLength };
    },
  };
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

/** The open workflow with this id; undefined when there is none. */
export async function describeOpen(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  const found = await describeLast(client, workflowId);
  return found !== undefined && isOpen(found) ? found : undefined;
}

/** The last run of a workflow, also one that has ended; undefined when the server knows none. */
export async function describeLast(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
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
  const found = await describeExecution(client, jobId).catch((error: unknown) => error);
  if (found instanceof Error) return found;
  return await endedJob(client, jobId, found as WorkflowExecutionDescription, cause); // What describeExecution gives when it does not reject.
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

async function endedJob(
  client: Client,
  jobId: string,
  ended: WorkflowExecutionDescription,
  cause?: unknown,
): Promise<JobNotRunning> {
  const { name } = ended.status;
  const wrong = await neverBegun(client, ended);
  const why = wrong === undefined || wrong.mayBegin ? {} : { why: wrongDefinition(wrong) };
  return new JobNotRunning(jobId, endedAs(name), { left: await leftOf(client, ended), ...why, cause });
}

/** What a job that has ended can run again with; undefined when that is nothing. */
async function leftOf(
  client: Client,
  ended: WorkflowExecutionDescription,
): Promise<'kept' | 'recoverable' | undefined> {
  if (endedFromOutside(ended.status.name)) return 'recoverable';
  const kept = await describeLast(client, keptWorkflowId(ended.workflowId));
  if (kept === undefined) return undefined;
  if (isOpen(kept)) return 'kept';
  // If the job has run since, it ran with that, or somebody gave it up.
  return endedFromOutside(kept.status.name) && kept.startTime >= ended.startTime ? 'recoverable' : undefined;
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

/** Whether any worker has asked this task queue for work in the last minutes. */
export async function isPolled(client: Client, taskQueue: string): Promise<boolean> {
  return (await lastPollMsAgo(client, taskQueue)) !== undefined;
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
