import type { Asker } from '../../contract/audit.ts';
import type { Problem } from '../../contract/export-job.ts';
import { unknownKeys } from '../../contract/nearest-key.ts';
import { isRecord } from '../../domain/json.ts';
import { flag, type Kinds, name, oneOf, record, text, texts, whole, wrongValues } from '../../domain/kinds.ts';
import { isReservedJobId, JOB_ID_PATTERN, JOB_ID_RULE, reservedIdText } from '../../domain/names.ts';
import { DOORS, MOST_WHO, type RequestReading } from '../../domain/requests.ts';
import { InvalidRequest } from './errors.ts';
import { anyText, call, count, deed, line, ms, rate, signal, time } from './kinds.ts';

/**
 * A job id made from a label: lower-case letters and digits, everything else a dash, at most 100 characters; undefined when nothing of the
 * label is left.
 */
export function jobIdFromLabel(label: string): string | undefined {
  const plain = label.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase();
  const slug = plain
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 101)
    .replace(/^-/, '');
  return slug.slice(0, 100).replace(/-$/, '') || undefined;
}

/** Gives the job an id. A missing label is no problem here: the check reports it. */
export function nameJob(definition: unknown, jobId: string | undefined): { jobId: string; problems: Problem[] } {
  if (jobId !== undefined) return { jobId, problems: JOB_ID_PATTERN.test(jobId) ? unlessReserved(jobId) : [INVALID] };
  const label: unknown = typeof definition === 'object' && definition !== null ? Reflect.get(definition, 'label') : '';
  const made = typeof label === 'string' ? jobIdFromLabel(label) : '';
  if (made !== undefined) return { jobId: made, problems: unlessReserved(made) };
  const message = 'No job id can be made from this label: it has neither letters (a to z) nor digits. Give an id.';
  return { jobId: '', problems: label === '' ? [] : [{ field: 'id', message }] };
}

const INVALID: Problem = {
  field: 'id',
  message: JOB_ID_RULE,
};

function unlessReserved(jobId: string): Problem[] {
  if (!isReservedJobId(jobId)) return [];
  return [{ field: 'id', message: `${reservedIdText(jobId)} Give another one.` }];
}

/** The asker of a change to a job, and the reason: the job tells both (`history`). */
export interface DeedOptions {
  /** Why, for people: 1 to 500 characters. */
  readonly reason?: string | undefined;
  /** The asker of this, where several ask through one client. Default: `by` of the client. */
  readonly by?: Asker | undefined;
}

// The options of the client's own methods. Not every program is compiled against their types, and a misspelt option would count as left out, which mostly means
// "all".

const deadLetterFilter = {
  jobId: anyText,
  user: anyText,
  audience: anyText,
  failure: anyText,
  olderThan: time,
  newerThan: time,
};
const decision = { ...deed, confirm: call, onProgress: call, signal, isTold: flag };
const push = { onProgress: call, patienceMs: ms, gatherMs: ms, signal };

export const OPTIONS = {
  client: { taskQueue: text, patienceMs: ms, by: record, close: call },
  connect: { taskQueue: text, patienceMs: ms, by: record, connection: record, payloadKeys: texts },
  by: { who: line(MOST_WHO), door: oneOf(...DOORS) },
  deed,
  connection: { connectionOptions: record, namespace: text },
  start: { ...deed, jobId: text, discardRecoverable: flag, allows: call },
  push,
  publish: { ...push, listAgeMs: ms, onLeftOut: call },
  overview: { lastHour: flag },
  trace: { jobId: name, onlyJobs: texts, since: time, onProgress: call, signal, log: record },
  attempts: { failed: flag, last: count, follow: signal },
  edit: { ...deed, isMeant: call, allows: call, toRevision: whole(1) },
  deadLetterFilter,
  whichDeadLetters: { ...deadLetterFilter, all: flag },
  discard: decision,
  redeliver: { ...decision, force: flag, limit: whole(1), perSecond: rate },
} as const;

/** An option that has no kind is of type never: each new one needs its kind. */
type Listed<K extends Kinds, Options> = unknown extends Options
  ? unknown
  : Options & Partial<Record<Exclude<keyof Options, keyof K>, never>>;

/**
 * Checks the options of a method; an undefined one counts as left out.
 * @throws InvalidRequest with every problem at once
 */
export function checkOptions<K extends Kinds, Options>(kinds: K, options: Listed<K, Options>): void {
  const input: unknown = options;
  if (!isRecord(input)) throw new InvalidRequest([{ field: '', message: 'Options must be an object.' }]);
  const problems = [...unknownKeys(input, Object.keys(kinds)), ...wrongValues(input, kinds)];
  if (problems.length > 0) throw new InvalidRequest(problems);
}

/** Returns the request. @throws InvalidRequest with everything that is wrong with it */
export function parsed<T>(reading: RequestReading<T>): T {
  if (!reading.ok) throw new InvalidRequest(reading.problems);
  return reading.request;
}
