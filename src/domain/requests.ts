import type { RedeliverRequest } from '../contract/dead-letter.ts';
import type { By, Door } from '../contract/audit.ts';
import type { DifferenceToSend } from '../contract/backfill.ts';
import type { Replay, ReplayFilter } from '../contract/replay.ts';
import type { JobEdit, Problem } from '../contract/export-job.ts';
import { unknownKeys } from '../contract/nearest-key.ts';
import type { BackfillRequest, ForgetRequest, StopRequest } from '../contract/requests.ts';
import { LEAST_ID_DIGITS, WHOLE_ID_DIGITS } from './delivery-id.ts';
import { undecodableReason } from './errors.ts';
import { parseInstant } from './instant.ts';
import { EDITABLE_FIELDS, FORM_FIELDS } from './form.ts';
import { definedOf, isRecord } from './json.ts';
import { differenceId, flag, type Kind, type Kinds, name, names, oneOf, whole, wrongValues } from './kinds.ts';

// Reads the requests of operators to a job. Updates and signals may carry anything; the client reads its requests in the same way before it
// sends them. A misspelt key is an error, never taken as left out: left out, it mostly means all.

/** A request, or everything that is wrong with it. */
export type RequestReading<T> =
  { readonly ok: true; readonly request: T } | { readonly ok: false; readonly problems: readonly Problem[] };

/** The longest time, in ms, for which a stopping job may go on sending. */
export const LONGEST_STOP_MS = 30 * 24 * 60 * 60_000;

const DIFFERENCE: Readonly<Record<keyof DifferenceToSend, Kind>> = {
  id: differenceId,
  enters: whole(0),
  exits: whole(0),
};

const instant: Kind = {
  what: 'an RFC 3339 time, such as "2026-11-25T08:30:00.000000001Z"',
  isRight: (value) => typeof value === 'string' && parseInstant(value) !== undefined,
};

/** The fields by which a replay is narrowed. */
export const REPLAY_FILTER: Readonly<Record<keyof ReplayFilter, Kind>> = {
  since: instant,
  until: instant,
  user: name,
  deliveryId: {
    what: `a webhook-id, or at least ${LEAST_ID_DIGITS} of its first digits`,
    isRight: (value) =>
      typeof value === 'string' &&
      /^[0-9a-f]+$/.test(value) &&
      value.length >= LEAST_ID_DIGITS &&
      value.length <= WHOLE_ID_DIGITS,
  },
  onlyLast: flag,
};

const REPLAY: Readonly<Record<keyof Replay, Kind>> = {
  ...REPLAY_FILTER,
  // Clients of 0.1.0 ask with fewer digits. A run in which a job has taken them must replay.
  deliveryId: {
    ...REPLAY_FILTER.deliveryId,
    isRight: (value) => typeof value === 'string' && /^[0-9a-f]{1,32}$/.test(value),
  },
  newIds: flag,
  enters: whole(0),
  exits: whole(0),
};

const BACKFILL: Readonly<Record<keyof BackfillRequest, Kind>> = {
  action: oneOf('start', 'pause', 'resume', 'cancel'),
  requestId: name,
  audiences: names,
  sample: whole(1),
  at: instant,
  difference: {
    what: 'what `reconcile` gives it ({"id": "<UUID>", "enters": 0, "exits": 0})',
    isRight: (value) => isWhole(value, DIFFERENCE, ['id', 'enters', 'exits']),
  },
  replay: {
    what: 'what `replay` gives it ({"until": "…", "enters": 0, "exits": 0}, and what it is asked for)',
    isRight: (value) => isWhole(value, REPLAY, ['until', 'enters', 'exits']),
  },
};

const STOP: Readonly<Record<keyof StopRequest, Kind>> = {
  waiting: oneOf('deliver', 'keep', 'discard'),
  deadlineMs: {
    what: 'a number of milliseconds, at most 30 days',
    isRight: (value) => typeof value === 'number' && value >= 0 && value <= LONGEST_STOP_MS,
  },
  ifStopped: flag,
};

const REDELIVER: Readonly<Record<keyof RedeliverRequest, Kind>> = { force: flag };

/** @param needed keys that it must have. */
function isWhole(value: unknown, kinds: Kinds, needed: readonly string[]): boolean {
  if (!isRecord(value) || unknownKeys(value, Object.keys(kinds)).length > 0) return false;
  return wrongValues(value, kinds).length === 0 && needed.every((field) => value[field] !== undefined);
}

/** Reads the arguments of `backfill`: one request, or none. */
export function readBackfillRequest(args: readonly unknown[]): RequestReading<BackfillRequest> {
  return read<BackfillRequest>(args, BACKFILL, ({ action, audiences, sample, at, difference, replay }) => [
    ...(difference !== undefined && (!Array.isArray(audiences) || audiences.length !== 1)
      ? [{ field: 'difference', message: 'This goes with one audience only.' }]
      : []),
    ...(difference !== undefined && replay !== undefined
      ? [{ field: 'replay', message: 'This goes without "difference" only.' }]
      : []),
    // A pause for one audience's backfill would pause the backfill of all.
    ...(action === 'pause' || action === 'resume' || action === 'cancel'
      ? onlyWith('a new backfill', { audiences, sample, at, difference, replay })
      : []),
  ]);
}

/** Reads the arguments of `stop`: one request, or none. */
export function readStopRequest(args: readonly unknown[]): RequestReading<StopRequest> {
  return read<StopRequest>(args, STOP, ({ waiting, deadlineMs }) =>
    waiting === 'keep' || waiting === 'discard' ? onlyWith('"deliver"', { deadlineMs }) : [],
  );
}

/** Reads the argument of `forget`. */
export function readForgetRequest(args: readonly unknown[]): RequestReading<ForgetRequest> {
  return read<ForgetRequest>(args, { user: name }, ({ user }) =>
    user === undefined ? [{ field: 'user', message: 'Name the person.' }] : [],
  );
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
  return readingOf(edit, [...notEditable, ...more, ...unknown]);
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
  return read<RedeliverRequest>(args, REDELIVER);
}

/** Reads the arguments of what takes none, such as `pause`. */
export function readNothing(args: readonly unknown[]): RequestReading<object> {
  return read<object>(args, {});
}

export const DOORS: readonly Door[] = ['cli', 'api', 'console', 'client', 'temporal'];
const BY: readonly (keyof By)[] = ['who', 'door', 'reason'];
/** Most characters of who asks, and of why. */
export const MOST_WHO = 100;
export const MOST_REASON = 500;

/** Who asks, when nobody says it. */
export const UNKNOWN: By = { door: 'temporal' };

/**
 * Takes who asks from the arguments of an update, where it is the second one. Anything else in its place stays among the others, which are
 * then too many.
 */
export function takeBy(args: readonly unknown[]): { readonly by: By; readonly rest: readonly unknown[] } {
  const [request, by, ...more] = args;
  if (isRecord(by) && unknownKeys(by, BY).length > 0) return { by: UNKNOWN, rest: args };
  return by == null || isRecord(by) ? { by: readBy(by), rest: [request, ...more] } : { by: UNKNOWN, rest: args };
}

/** Reads who asks. It changes nothing of what is done: what is no text is left out, and what is long is cut. */
export function readBy(by: unknown): By {
  if (!isRecord(by)) return UNKNOWN;
  const text = (field: keyof By, most: number): Partial<By> => {
    const value = by[field];
    const line = typeof value === 'string' ? value.replaceAll(/\s+/g, ' ').trim() : '';
    return line === '' ? {} : { [field]: line.slice(0, most).toWellFormed() };
  };
  const door = DOORS.find((one) => one === by['door']);
  const isOfMany = by['isOfMany'] === true ? ({ isOfMany: true } as const) : {};
  return { ...text('who', MOST_WHO), door: door ?? UNKNOWN.door, ...text('reason', MOST_REASON), ...isOfMany };
}

/** Everything that is wrong with a request, in one line. */
export function problemsText(problems: readonly Problem[]): string {
  return problems.map(({ field, message }) => (field === '' ? message : `"${field}": ${message}`)).join(' ');
}

/** Reads a JSON object in which null means the same as absent, as in many languages. */
function read<T extends object>(
  args: readonly unknown[],
  kinds: Kinds,
  together: (fields: Readonly<Record<string, unknown>>) => readonly Problem[] = () => [],
): RequestReading<T> {
  const [raw = null] = args;
  const unreadable = undecodableReason(raw);
  if (unreadable !== undefined) return refused([{ field: '', message: `This cannot be read: ${unreadable}.` }]);
  if (raw !== null && !isRecord(raw)) return refused([{ field: '', message: `This takes ${objectOf(kinds)}.` }]);
  const input = raw ?? {};
  const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined && value !== null));
  const problems = [
    ...tooMany(args),
    ...unknownKeys(input, Object.keys(kinds)),
    ...wrongValues(fields, kinds),
    ...together(fields),
  ];
  return readingOf(fields, problems);
}

/** A request whose keys were checked, or its problems. */
export function readingOf<T extends object>(fields: object, problems: readonly Problem[]): RequestReading<T> {
  return problems.length > 0 ? refused(problems) : { ok: true, request: fields as T }; // Every key has been checked.
}

/** A request with these keys, in words. */
export function objectOf(kinds: Kinds): string {
  const keys = Object.keys(kinds).map((key) => `"${key}"`);
  return keys.length === 0 ? 'no argument' : `a JSON object with ${keys.join(', ')}`;
}

function tooMany(args: readonly unknown[]): Problem[] {
  return hasSurplus(args) ? [{ field: '', message: 'There is more than one argument.' }] : [];
}

/** The problem of a job that is started with several arguments. */
export const MORE_THAN_A_DEFINITION: Problem = {
  field: '',
  message: 'A job is started with its definition alone: there is more than one argument.',
};

/** Whether there is anything after the first argument. */
export function hasSurplus(args: readonly unknown[]): boolean {
  return args.slice(1).some((one) => one != null);
}

/** A request that is refused. */
export function refused(problems: readonly Problem[]): { readonly ok: false; readonly problems: readonly Problem[] } {
  return { ok: false, problems };
}

function onlyWith(what: string, fields: Readonly<Record<string, unknown>>): Problem[] {
  return Object.keys(definedOf(fields)).map((field) => ({ field, message: `This goes with ${what} only.` }));
}
