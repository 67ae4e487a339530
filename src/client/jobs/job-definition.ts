import type { Client } from '@temporalio/client';
import {
  checkJobDefinition,
  JOB_FIELDS,
  type JobDefinition,
  type JobDefinitionInput,
  type Problem,
} from '../../contract/export-job.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { JobSettings } from '../../contract/slice.ts';
import { editableOf, FORM_DEFAULTS, FORM_FIELDS, FIELDS } from '../../domain/form.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { settingsQuery } from '../../workflows/messages.ts';
import { ask } from '../calls/asking.ts';
import { RequestRefused } from '../calls/errors.ts';
import { START_WAIT_MS, statusWhen } from './job-service.ts';
import type { PreparedJob } from '../../contract/ports.ts';
import { workerRpc } from './worker-rpc.ts';
import { PREPARE_JOB } from '../../domain/worker-rpc.ts';
import { isRecord } from '../../domain/json.ts';

/** A job with its present form: webhook URLs in full, audiences by the slugs that it knows. */
export interface WholeJob {
  readonly status: JobStatus;
  readonly form: JobDefinition;
}

/** How often to ask for the two answers that make a form before giving up on a job that is edited all the time. */
const TRIES = 5;

/**
 * Returns the whole definition of a job, in the form that `start` takes, without fields that have their default. `existingUsers` is left out too: it
 * was about the start, and has been done.
 * @throws JobNotFound, NoWorker, UnknownPayloadKey; RequestRefused when it has not begun
 */
export async function definitionOf(client: Client, jobId: string): Promise<JobDefinitionInput> {
  const { form } = await wholeJob(client, jobId);
  return withoutDefaults(form);
}

/** @throws as `definitionOf` */
export async function wholeJob(client: Client, jobId: string): Promise<WholeJob> {
  for (let tries = 0; tries < TRIES; tries++) {
    const status = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
    const answer = status.state === 'starting' ? null : await ask(client, jobWorkflowId(jobId), settingsQuery);
    if (answer === null)
      throw new RequestRefused(
        jobId,
        `It has not begun yet, so that nobody has checked its definition. ${status.reason ?? ''}`.trim(),
      );
    // It may have been edited between the two.
    if (answer.settings.revision === status.revision) return { status, form: formOf(status, answer) };
  }
  throw new RequestRefused(jobId, 'It was edited each time it was asked. Ask again.');
}

/** Returns the form in a status, with the URLs that it masks. `existingUsers` is about a start alone. */
function formOf(status: JobStatus, { settings: { webhookUrl, request } }: JobSettings): JobDefinition {
  const { onEnter, onExit } = status;
  return {
    ...FORM_DEFAULTS,
    ...editableOf(status),
    exportFields: [...status.exportFields],
    audiences: status.audiences.map(({ slug }) => slug),
    webhookUrl,
    onEnter: withUrl(onEnter, request?.onEnter),
    onExit: withUrl(onExit, request?.onExit),
  };
}

type OfEvent = JobDefinition['onEnter'];

function withUrl(shown: OfEvent | undefined, sent: OfEvent | undefined): OfEvent {
  if (shown?.webhookUrl == null || sent?.webhookUrl == null) return shown ?? null;
  return { ...shown, webhookUrl: sent.webhookUrl };
}

/** A form without the fields that have their default. */
function withoutDefaults(form: JobDefinition): JobDefinitionInput {
  const defaults: { readonly [Field in keyof JobDefinition]?: unknown } = { ...FORM_DEFAULTS, description: '' };
  const isSet = (field: keyof JobDefinition): boolean =>
    form[field] !== undefined && JSON.stringify(form[field]) !== JSON.stringify(defaults[field]);
  const fields = FORM_FIELDS.filter(isSet).map((field) => [field, form[field]]);
  return Object.fromEntries(fields) as JobDefinitionInput; // Fields without a default are there.
}

/**
 * Checks a definition on a worker, against the form, the source and the authorizations; returns all problems at once. Starts nothing.
 * @param jobId whether its authorization is for this job is checked, too. Default: it has no id yet.
 * @throws NoWorker, WorkerFailed
 */
export async function prepare(
  client: Client,
  taskQueue: string,
  definition: unknown,
  jobId?: string,
): Promise<PreparedJob> {
  const checked = checkJobDefinition(definition);
  const lost = lostInJson(definition);
  const { part, problems } =
    checked.ok && lost.length === 0
      ? { part: definition, problems: [] }
      : partForWorkers(definition, checked.ok ? [] : checked.problems, lost);
  if (part === undefined) return { ok: false, problems };
  const prepared = withHeldBack(problems, await workerRpc(client, taskQueue, PREPARE_JOB, part));
  if (!prepared.ok) return prepared;
  const { onlyJobs, ...rest } = prepared;
  if (jobId === undefined || (onlyJobs?.includes(jobId) ?? true)) return rest;
  const message = `This authorization is not for the job "${jobId}". Its "jobs" in the worker's configuration say for which it is.`;
  return { ok: false, problems: [{ field: 'authorization', message }] };
}

/**
 * Returns a worker's answer about a part of a definition, with the problems of the rest. The worker did not see the rest, and may have accepted the
 * part alone.
 */
export function withHeldBack(problems: readonly Problem[], prepared: PreparedJob): PreparedJob {
  if (problems.length === 0) return prepared;
  const held = new Set(problems.map(({ field }) => field));
  const more = prepared.ok ? [] : prepared.problems.filter(({ field }) => !held.has(field));
  return { ok: false, problems: [...problems, ...more] };
}
/** Fields that may contain a secret when they are wrong. */
const SENSITIVE: readonly string[] = FORM_FIELDS.filter((field) => FIELDS[field].secret !== undefined);

/**
 * For a wrong definition: returns the part that a worker is asked about, and the problems of the rest. The server stores the worker's part. A secret
 * may be in an unknown field, in text that is not a URL, or in a wrong authorization name. A worker might accept a value that arrives changed: NaN
 * arrives as null, which often means none. `told` is undefined when the definition is not an object.
 *
 * @param lost values that would arrive changed, by field
 */
export function partForWorkers(
  definition: unknown,
  found: readonly Problem[],
  lost: readonly Problem[] = [],
): { readonly part: object | undefined; readonly problems: readonly Problem[] } {
  const problems = [...found, ...lost.filter(({ field }) => !found.some((one) => isWithin(field, one.field)))];
  if (!isRecord(definition) || lost.some(({ field }) => field === '')) return { part: undefined, problems };
  // An unknown field may look like a part of a known one.
  const topIn = (field: string): string => (Object.hasOwn(definition, field) ? field : topOf(field));
  const tops = problems.map(({ field }) => topIn(field));
  const lostIn = lost.map(({ field }) => topIn(field));
  const held = tops.filter((top) => SENSITIVE.includes(top) || !JOB_FIELDS.includes(top) || lostIn.includes(top));
  const isInPart = ([field]: [string, unknown]): boolean => JOB_FIELDS.includes(field) && !held.includes(field);
  return {
    part: Object.fromEntries(Object.entries(definition).filter(isInPart)),
    problems: problems.filter(({ field }) => held.includes(topIn(field))),
  };
}

/** Whether a place equals another one, or is a part of it. */
function isWithin(place: string, other: string): boolean {
  return place === other || place.startsWith(`${other}.`) || place.startsWith(`${other}[`);
}

/** Returns by field the values that JSON cannot carry: it leaves them out or replaces them. */
function lostInJson(value: unknown, field = '', around: readonly unknown[] = []): Problem[] {
  const reason = whyLost(value, around);
  if (reason !== undefined) return [{ field, message: `JSON cannot carry this: ${reason}.` }];
  if (typeof value !== 'object' || value === null) return [];
  const within = [...around, value];
  // By its places, since a list may have gaps.
  if (Array.isArray(value))
    return Array.from(value, (one: unknown, place) => lostInJson(one, `${field}[${place}]`, within)).flat();
  // An undefined value counts as left out, as it does in JSON.
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return entries.flatMap(([key, one]) => lostInJson(one, field === '' ? key : `${field}.${key}`, within));
}
function whyLost(value: unknown, around: readonly unknown[]): string | undefined {
  if (value === undefined) return 'a list has a value in each of its places';
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : `the number is ${value}`;
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol')
    return `it is a ${typeof value}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  if (around.includes(value)) return 'it contains itself';
  const kind: unknown = Object.getPrototypeOf(value);
  // In any realm, the prototype of an object literal has no prototype itself.
  const isPlain = kind === null || Object.getPrototypeOf(kind) === null;
  return isPlain ? undefined : `it is a ${value.constructor.name}, not a plain object`;
}

/** Returns the field of the form for a place: `audiences` for `audiences[2]`. */
function topOf(field: string): string {
  return field.replace(/[.[].*$/s, '');
}
