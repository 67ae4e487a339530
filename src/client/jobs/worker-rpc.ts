import { randomUUID } from 'node:crypto';
import { type Client, TimeoutFailure, WorkflowFailedError } from '@temporalio/client';
import { rootCause, TimeoutType } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { checkJobDefinition, JOB_FIELDS, type Problem } from '../../contract/export-job.ts';
import { FORM } from '../../domain/form-fields.ts';
import { FORM_FIELDS } from '../../domain/job-form.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import { type RpcAnswer, type RpcArgument, type RpcMethod, WORKER_RPCS } from '../../domain/worker-rpc.ts';
import { isRecord } from '../../domain/json.ts';
import { WORKER_RPC } from '../../domain/names.ts';
import { ANSWER_MS, noWorker } from '../asking.ts';
import { WorkerFailed } from '../errors.ts';
import { historyEvents } from '../history/events.ts';
import { isTimeUp } from '../server-errors.ts';

/**
 * Runs the check workflow on a worker, against the form, the source and the authorizations; returns all problems at once. Starts nothing.
 * @throws NoWorker, WorkerFailed
 */
export async function prepare(client: Client, taskQueue: string, definition: unknown): Promise<PreparedJob> {
  const checked = checkJobDefinition(definition);
  const lost = lostInJson(definition);
  const { told, problems } =
    checked.ok && lost.length === 0
      ? { told: definition, problems: [] }
      : whatWorkersAreTold(definition, checked.ok ? [] : checked.problems, lost);
  if (told === undefined) return { ok: false, problems };
  return withHeldBack(problems, await workerRpc(client, taskQueue, 'prepareJob', told));
}

/** A worker's answer about a part of a definition, with the problems of the rest, which it was not told of and may have liked without. */
export function withHeldBack(problems: readonly Problem[], prepared: PreparedJob): PreparedJob {
  if (problems.length === 0) return prepared;
  const held = new Set(problems.map(({ field }) => field));
  const more = prepared.ok ? [] : prepared.problems.filter(({ field }) => !held.has(field));
  return { ok: false, problems: [...problems, ...more] };
}

/** Fields that may contain a secret when they are wrong. */
const SENSITIVE: readonly string[] = FORM_FIELDS.filter((field) => FORM[field].secret !== undefined);

/**
 * For a wrong definition: the part that a worker is asked about, and the problems of the rest. The server keeps what a worker is told, and
 * a secret may be in a field that does not exist, in text that is not a URL, or in what is not an authorization's name. What does not arrive
 * as it is, a worker might like: NaN arrives as null, which often means none.
 * `told` is undefined when the definition is not an object.
 *
 * @param lost what does not arrive as it is, by field
 */
export function whatWorkersAreTold(
  definition: unknown,
  found: readonly Problem[],
  lost: readonly Problem[] = [],
): { readonly told: object | undefined; readonly problems: readonly Problem[] } {
  const problems = [...found, ...lost.filter(({ field }) => !found.some((one) => isWithin(field, one.field)))];
  if (!isRecord(definition) || lost.some(({ field }) => field === '')) return { told: undefined, problems };
  // A field that does not exist may be written like a part of one that does.
  const topIn = (field: string): string => (Object.hasOwn(definition, field) ? field : topOf(field));
  const tops = problems.map(({ field }) => topIn(field));
  const lostIn = lost.map(({ field }) => topIn(field));
  const held = tops.filter((top) => SENSITIVE.includes(top) || !JOB_FIELDS.includes(top) || lostIn.includes(top));
  const isTold = ([field]: [string, unknown]): boolean => JOB_FIELDS.includes(field) && !held.includes(field);
  return {
    told: Object.fromEntries(Object.entries(definition).filter(isTold)),
    problems: problems.filter(({ field }) => held.includes(topIn(field))),
  };
}

/** Whether a place is another one, or a part of it. */
function isWithin(place: string, other: string): boolean {
  return place === other || place.startsWith(`${other}.`) || place.startsWith(`${other}[`);
}

/** What would not arrive as it is, since JSON has nothing like it and leaves it out or puts something else in its place, by field. */
function lostInJson(value: unknown, field = '', around: readonly unknown[] = []): Problem[] {
  const reason = whyLost(value, around);
  if (reason !== undefined) return [{ field, message: `JSON cannot carry this: ${reason}.` }];
  if (typeof value !== 'object' || value === null) return [];
  const within = [...around, value];
  // By its places, since a list may have gaps.
  if (Array.isArray(value))
    return Array.from(value, (one: unknown, place) => lostInJson(one, `${field}[${place}]`, within)).flat();
  // What is undefined counts as left out, as it does in JSON.
  const said = Object.entries(value).filter(([, one]) => one !== undefined);
  return said.flatMap(([key, one]) => lostInJson(one, field === '' ? key : `${field}.${key}`, within));
}

function whyLost(value: unknown, around: readonly unknown[]): string | undefined {
  if (value === undefined) return 'a list has a value in each of its places';
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `the number is ${value}`;
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol')
    return `it is a ${typeof value}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  if (around.includes(value)) return 'it contains itself';
  const kind: unknown = Object.getPrototypeOf(value);
  // Of whatever realm: an object that is written {…} has a prototype that has none.
  const isPlain = kind === null || Object.getPrototypeOf(kind) === null;
  return isPlain ? undefined : `it is a ${value.constructor.name}, not a plain object`;
}

/** The field of the form that `audiences[2]` is a part of. */
function topOf(field: string): string {
  return field.replace(/[.[].*$/s, '');
}

/**
 * Has a short workflow answer what only a worker knows. What it is asked is encrypted, where anything is: a worker that lacks the key shows
 * by that, before anything is signalled that it could not read.
 *
 * @param answerMs how long there is for an answer
 * @throws NoWorker; WorkerFailed when a worker tried and failed
 */
export async function workerRpc<M extends RpcMethod>(
  client: Client,
  taskQueue: string,
  method: M,
  argument: RpcArgument<M>,
  answerMs = ANSWER_MS,
): Promise<RpcAnswer<M>> {
  const { id, summary } = WORKER_RPCS[method];
  const handle = await client.workflow.start<(method: M, argument: RpcArgument<M>) => Promise<RpcAnswer<M>>>(
    WORKER_RPC,
    {
      workflowId: `${id}-${randomUUID()}`,
      taskQueue,
      args: [method, argument],
      staticSummary: summary,
      workflowExecutionTimeout: Math.max(60_000, answerMs),
    },
  );
  const answer = async (untilMs: number): Promise<RpcAnswer<M>> =>
    await client.withDeadline(untilMs, (): Promise<RpcAnswer<M>> => handle.result());
  const endsAtMs = Date.now() + answerMs;
  try {
    return await answer(Math.min(endsAtMs, Date.now() + LOOK_MS)).catch(async (error: unknown) => {
      if (!isTimeUp(error)) throw error;
      // Nobody has to wait to the end for a worker that cannot take up what it is asked.
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
    throw new WorkerFailed(taskQueue, rootCause(failure) ?? failure.message, { cause: failure });
  }
}

/** How the last try at a question that is still unanswered stands: whether a worker has begun with one, and what an earlier one failed with. */
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

/** When, in ms, an unanswered question is first looked at. */
const LOOK_MS = 2_000;
const OTHER_KEYS =
  'It cannot take up what it is asked, most often since its payload keys are not those of this program: give both the same (TRIGGERS_PAYLOAD_KEYS).';

/** @throws WorkerFailed when a worker has taken a question up and could not even begin with it */
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
    // What it says of a missing key is not encrypted (`failure-converter.ts`).
    throw new WorkerFailed(taskQueue, `${OTHER_KEYS} It says: ${failure.message ?? ''}`, { hasOtherKeys: true });
  }
}

/** Whether it failed because no worker was free. */
function isUntaken({ cause }: Error): boolean {
  return cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START;
}
