import { DIFFERENCE_ID } from './names.ts';
import type { RedeliverRequest } from '../contract/dead-letter.ts';
import type { DifferenceToSend } from '../contract/difference.ts';
import type { JobEdit, Problem } from '../contract/export-job.ts';
import { unknownKeys } from '../contract/nearest-key.ts';
import type { BackfillRequest, StopRequest } from '../contract/requests.ts';
import { undecodableReason } from './errors.ts';
import { parseInstant } from './instant.ts';
import { EDITABLE_FIELDS, FORM_FIELDS } from './form-fields.ts';
import { REQUEST_ID_LENGTH } from './job/backfill-requests.ts';
import { isRecord } from './json.ts';

// Reads the requests of operators to a job. Updates and signals may carry anything; the client reads its requests in the same way before it
// sends them. A misspelt key is an error, never taken as left out: left out, it mostly means all.

/** A request, or everything that is wrong with it. */
export type RequestReading<T> =
  { readonly ok: true; readonly request: T } | { readonly ok: false; readonly problems: readonly Problem[] };

const LONGEST_DEADLINE_MS = 30 * 24 * 60 * 60_000;

const BACKFILL_KEYS: readonly (keyof BackfillRequest)[] = [
  'requestId',
  'audiences',
  'sample',
  'action',
  'at',
  'difference',
];
const DIFFERENCE_KEYS: readonly (keyof DifferenceToSend)[] = ['id', 'enters', 'exits'];
const STOP_KEYS: readonly (keyof StopRequest)[] = ['waiting', 'deadlineMs', 'ifStopped'];
const REDELIVER_KEYS: readonly (keyof RedeliverRequest)[] = ['force'];

const ACTIONS: readonly unknown[] = ['start', 'pause', 'resume', 'cancel'];
const WAITING: readonly unknown[] = ['deliver', 'keep', 'discard'];

/** Reads the arguments of `backfill`: one request, or none. */
export function readBackfillRequest(args: readonly unknown[]): RequestReading<BackfillRequest> {
  return read<BackfillRequest>(args, BACKFILL_KEYS, ({ requestId, audiences, sample, action, at, difference }) => [
    problem('action', action === undefined || ACTIONS.includes(action), '"start", "pause", "resume" or "cancel"'),
    problem('requestId', requestId === undefined || isId(requestId), `text of 1 to ${REQUEST_ID_LENGTH} characters`),
    problem('audiences', audiences === undefined || isNames(audiences), 'a list of slugs or ids, not empty'),
    problem('sample', sample === undefined || isCount(sample), 'a whole number of people, at least 1'),
    problem('at', at === undefined || isInstant(at), 'an RFC 3339 time, such as "2026-11-25T08:30:00.000000001Z"'),
    problem(
      'difference',
      difference === undefined || (isDifference(difference) && Array.isArray(audiences) && audiences.length === 1),
      'what `reconcile` gives it ({"id": "<UUID>", "enters": 0, "exits": 0}), of one audience',
    ),
    // A pause for one audience's backfill would pause the backfill of all.
    ...(action === 'pause' || action === 'resume' || action === 'cancel'
      ? [
          alone('audiences', audiences, 'a new backfill'),
          alone('sample', sample, 'a new backfill'),
          alone('at', at, 'a new backfill'),
          alone('difference', difference, 'a new backfill'),
        ]
      : []),
  ]);
}

/** Reads the arguments of `stop`: one request, or none. */
export function readStopRequest(args: readonly unknown[]): RequestReading<StopRequest> {
  return read<StopRequest>(args, STOP_KEYS, ({ waiting, deadlineMs, ifStopped }) => [
    problem('waiting', waiting === undefined || WAITING.includes(waiting), '"deliver", "keep" or "discard"'),
    problem(
      'deadlineMs',
      deadlineMs === undefined || isDeadline(deadlineMs),
      'a number of milliseconds, at most 30 days',
    ),
    problem('ifStopped', ifStopped === undefined || typeof ifStopped === 'boolean', 'true or false'),
    ...(waiting === 'keep' || waiting === 'discard' ? [alone('deadlineMs', deadlineMs, '"deliver"')] : []),
  ]);
}

/** Reads the argument of `edit`, but only its keys: a worker checks its values, together with the source. */
export function readEdit(args: readonly unknown[]): RequestReading<JobEdit> {
  const [edit] = args;
  const more = tooMany(args);
  if (!isRecord(edit)) return refused([{ field: '', message: 'An edit is a JSON object with fields of the form.' }]);
  const notEditable = notEditableIn(edit);
  const unknown = unknownKeys(edit, EDITABLE_FIELDS).filter(({ field }) =>
    notEditable.every((one) => one.field !== field),
  );
  const problems = [...notEditable, ...more, ...unknown];
  return problems.length > 0 ? refused(problems) : { ok: true, request: edit };
}

/** Returns the problems of an edit that names fields which only a start takes. */
export function notEditableIn(edit: object): Problem[] {
  const editable: readonly string[] = EDITABLE_FIELDS;
  return FORM_FIELDS.filter((field) => field in edit && !editable.includes(field)).map((field) => ({
    field,
    message: 'This can only be given when a job is started. To send all current members, start a backfill.',
  }));
}

/** Reads the arguments of a dead letter's `redeliver`: one request, or none. */
export function readRedeliverRequest(args: readonly unknown[]): RequestReading<RedeliverRequest> {
  return read<RedeliverRequest>(args, REDELIVER_KEYS, ({ force }) => [
    problem('force', force === undefined || typeof force === 'boolean', 'true or false'),
  ]);
}

/** Reads the arguments of what takes none, such as `pause`. */
export function readNothing(args: readonly unknown[]): RequestReading<object> {
  return read<object>(args, [], () => []);
}

/** Everything that is wrong with a request, in one line. */
export function problemsText(problems: readonly Problem[]): string {
  return problems.map(({ field, message }) => (field === '' ? message : `"${field}": ${message}`)).join(' ');
}

/** Reads a JSON object in which null means the same as absent, as in many languages. */
function read<T extends object>(
  args: readonly unknown[],
  keys: readonly string[],
  check: (said: Readonly<Record<string, unknown>>) => readonly (Problem | undefined)[],
): RequestReading<T> {
  const [raw = null] = args;
  const unreadable = undecodableReason(raw);
  if (unreadable !== undefined) return refused([{ field: '', message: `This cannot be read: ${unreadable}.` }]);
  if (raw !== null && !isRecord(raw))
    return refused([{ field: '', message: keys.length === 0 ? TAKES_NOTHING : `This takes ${objectOf(keys)}.` }]);
  const given = raw ?? {};
  const said = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
  const problems = [...tooMany(args), ...unknownKeys(given, keys), ...check(said).filter((one) => one !== undefined)];
  return problems.length > 0 ? refused(problems) : { ok: true, request: said as T }; // Every key has been checked.
}

const TAKES_NOTHING = 'This takes no argument.';

function objectOf(keys: readonly string[]): string {
  return `a JSON object with ${keys.map((key) => `"${key}"`).join(', ')}`;
}

function tooMany(args: readonly unknown[]): Problem[] {
  return hasMore(args) ? [{ field: '', message: 'There is more than one argument.' }] : [];
}

/** The problem of a job that is started with several arguments. */
export const MORE_THAN_A_DEFINITION: Problem = {
  field: '',
  message: 'A job is started with its definition alone: there is more than one argument.',
};

/** Whether there is anything after the first argument. */
export function hasMore(args: readonly unknown[]): boolean {
  return args.slice(1).some((one) => one != null);
}

function refused(problems: readonly Problem[]): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems };
}

function problem(field: string, isRight: boolean, what: string): Problem | undefined {
  return isRight ? undefined : { field, message: `This must be ${what}.` };
}

function alone(field: string, value: unknown, only: string): Problem | undefined {
  return value === undefined ? undefined : { field, message: `This goes with ${only} only.` };
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '' && value.length <= REQUEST_ID_LENGTH;
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' && one.trim() !== '');
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

function isDifference(value: unknown): boolean {
  if (!isRecord(value) || unknownKeys(value, DIFFERENCE_KEYS).length > 0) return false;
  const { id, enters, exits } = value;
  return typeof id === 'string' && DIFFERENCE_ID.test(id) && isCountOrNone(enters) && isCountOrNone(exits);
}

function isCountOrNone(value: unknown): boolean {
  return value === 0 || isCount(value);
}

function isInstant(value: unknown): boolean {
  return typeof value === 'string' && parseInstant(value) !== undefined;
}

function isDeadline(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= LONGEST_DEADLINE_MS;
}
