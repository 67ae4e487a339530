import { randomUUID } from 'node:crypto';
import { type Client, TimeoutFailure, WorkflowFailedError } from '@temporalio/client';
import { rootCause, TimeoutType } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { AudienceList } from '../contract/audience.ts';
import type { AuthorizationListing } from '../contract/authorization.ts';
import { checkJobDefinition, JOB_FIELDS, type Problem } from '../contract/export-job.ts';
import type { PreparedJob } from '../contract/ports.ts';
import type { PreparedWatch } from '../contract/watch.ts';
import { isRecord } from '../domain/json.ts';
import {
  CHECK_EXPORT_JOB,
  CHECK_WATCH,
  LIST_AUDIENCES,
  LIST_AUTHORIZATIONS,
  LIST_PROFILE_FIELDS,
} from '../domain/names.ts';
import { WorkerFailed } from './errors.ts';
import { ANSWER_MS, noWorker } from './job-service.ts';
import { isTimeUp } from './server-errors.ts';

/**
 * Runs the check workflow on a worker, against the form, the source and the authorizations; returns all problems at once. Starts nothing.
 * @throws NoWorker, WorkerFailed
 */
export async function prepare(client: Client, taskQueue: string, definition: unknown): Promise<PreparedJob> {
  const checked = checkJobDefinition(definition);
  const { told, problems } = checked.ok
    ? { told: definition, problems: [] }
    : whatWorkersAreTold(definition, checked.problems);
  if (told === undefined) return { ok: false, problems };
  const options = { name: 'check-export-job', summary: 'Checks a job before it starts', args: [told] };
  const prepared = await askWorker<PreparedJob>(client, taskQueue, CHECK_EXPORT_JOB, options);
  if (prepared.ok || problems.length === 0) return prepared;
  const held = new Set(problems.map(({ field }) => field));
  return { ok: false, problems: [...problems, ...prepared.problems.filter(({ field }) => !held.has(field))] };
}

/** Fields that may contain a secret when they are wrong. */
const SENSITIVE: readonly string[] = ['webhookUrl', 'authorization'];

/**
 * For a wrong definition: the part that a worker is asked about, and the problems of the rest. The server keeps what a worker is told, and
 * a secret may be in a field that does not exist, in text that is not a URL, or in what is not an authorization's name.
 * `told` is undefined when the definition is not an object.
 */
export function whatWorkersAreTold(
  definition: unknown,
  problems: readonly Problem[],
): { readonly told: object | undefined; readonly problems: readonly Problem[] } {
  if (!isRecord(definition)) return { told: undefined, problems };
  const isUnknown = (field: string): boolean =>
    // A field that does not exist may be written like a part of one that does.
    !JOB_FIELDS.includes(Object.hasOwn(definition, field) ? field : topOf(field));
  const held = problems.filter(({ field }) => SENSITIVE.includes(field) || isUnknown(field));
  const isTold = ([field]: [string, unknown]): boolean =>
    JOB_FIELDS.includes(field) && held.every((problem) => problem.field !== field);
  return { told: Object.fromEntries(Object.entries(definition).filter(isTold)), problems: held };
}

/** The field of the form that `audiences[2]` is a part of. */
function topOf(field: string): string {
  return field.replace(/[.[].*$/s, '');
}

/** Which authorizations a worker has. @throws NoWorker, WorkerFailed */
export async function listAuthorizations(client: Client, taskQueue: string): Promise<readonly AuthorizationListing[]> {
  const options = { name: 'list-authorizations', summary: 'Lists the authorizations of a worker', args: [] };
  return await askWorker<readonly AuthorizationListing[]>(client, taskQueue, LIST_AUTHORIZATIONS, options);
}

/** Which audiences these are, by slug or id, and whether workers can watch them. @throws NoWorker, WorkerFailed */
export async function prepareWatch(
  client: Client,
  taskQueue: string,
  names: readonly string[],
): Promise<PreparedWatch> {
  const options = { name: 'check-watch', summary: 'Checks audiences before they are watched', args: [names] };
  return await askWorker<PreparedWatch>(client, taskQueue, CHECK_WATCH, options);
}

/** Which audiences a worker's source has. @throws NoWorker, WorkerFailed */
export async function listAudiences(client: Client, taskQueue: string): Promise<AudienceList> {
  const options = { name: 'list-audiences', summary: 'Lists the audiences of the source', args: [] };
  return await askWorker<AudienceList>(client, taskQueue, LIST_AUDIENCES, options);
}

/** Which fields a member of an audience has. @throws NoWorker, WorkerFailed */
export async function listProfileFields(
  client: Client,
  taskQueue: string,
  audience: string,
): Promise<readonly string[]> {
  const options = { name: 'list-profile-fields', summary: 'Lists the fields of a profile', args: [audience] };
  return await askWorker<readonly string[]>(client, taskQueue, LIST_PROFILE_FIELDS, options);
}

interface Question {
  /** How the workflow's id begins. */
  readonly name: string;
  readonly summary: string;
  readonly args: unknown[];
  /** How long there is for an answer, in ms; default 10 s. */
  readonly answerMs?: number;
}

/**
 * Has a short workflow answer what only a worker knows.
 * @throws NoWorker; WorkerFailed when a worker tried and failed
 */
export async function askWorker<T>(
  client: Client,
  taskQueue: string,
  workflow: string,
  { name, summary, args, answerMs = ANSWER_MS }: Question,
): Promise<T> {
  const handle = await client.workflow.start<(...args: unknown[]) => Promise<T>>(workflow, {
    workflowId: `${name}-${randomUUID()}`,
    taskQueue,
    args,
    staticSummary: summary,
    workflowExecutionTimeout: Math.max(60_000, answerMs),
  });
  try {
    return await client.withDeadline(Date.now() + answerMs, (): Promise<T> => handle.result());
  } catch (error) {
    const isOver = error instanceof WorkflowFailedError;
    if (!isOver && !isTimeUp(error)) throw error;
    const failure = isOver ? error.cause : await lastFailure(client, handle.workflowId);
    if (!isOver) await handle.terminate('nobody answered in time').catch(() => undefined);
    if (failure === undefined || isUntaken(failure)) throw await noWorker(client, taskQueue, error, answerMs);
    throw new WorkerFailed(taskQueue, rootCause(failure) ?? failure.message, { cause: failure });
  }
}

/** Why the last try at a question that is still unanswered failed; undefined when no worker has tried it, or one is still trying. */
async function lastFailure(client: Client, workflowId: string): Promise<Error | undefined> {
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const failure = raw.pendingActivities?.find(({ lastFailure }) => lastFailure != null)?.lastFailure;
  return await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, failure);
}

/** Whether it failed because no worker was free. */
function isUntaken({ cause }: Error): boolean {
  return cause instanceof TimeoutFailure && cause.timeoutType === TimeoutType.SCHEDULE_TO_START;
}
