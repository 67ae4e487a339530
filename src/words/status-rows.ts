import type { Answers } from '../contract/answers.ts';
import type { JobEdit } from '../contract/export-job.ts';
import type { BackfillStatus, EndpointStatus, JobStatus, KeptTriggers, Waits } from '../contract/job-status.ts';
import type { EventShape, ExportField, RequestSettings } from '../contract/request-shape.ts';
import { EDITABLE_FIELDS, FIELDS } from '../domain/form.ts';
import { counted, duration, printable, printableReason, shownCount, shownTime } from '../domain/text.ts';
import { detailsTable } from '../domain/workflow-visibility.ts';
import { isBackfillOver } from '../domain/job-state.ts';
import { retryDelaysMs } from '../domain/retry.ts';
import { failureInWords } from '../domain/verdict.ts';
import type { KeptBackfill } from '../contract/job-status.ts';

/** One line of a job's status, in the terminal and in the Temporal UI. */
export interface StatusRow {
  /** Empty where it continues the row before. */
  readonly name: string;
  readonly value: string;
  readonly tone?: Tone;
}

/** The tone of a row, for displays with colours. */
export type Tone = 'good' | 'caution' | 'bad' | 'quiet';

export interface Telling {
  /** A time as people read it there: when it was (`at 2026-11-25 01:29:58 UTC`), or seen from now (`8 s ago`, `in 3 min`). */
  readonly time: (at: string) => string;
  /** How many audiences and fields are named at most: a job may have hundreds. Default: all. */
  readonly mostNames?: number;
}

/** A status as the Temporal UI shows it with the workflow. */
export function detailsOf(status: JobStatus): string {
  const rows = statusRows(status, { time: (at) => `at ${shownTime(at)}`, mostNames: SHOWN_NAMES });
  return detailsTable(
    status.label,
    rows.map(({ name, value }) => [name, value]),
  );
}

/** The first of them: a job may have 100 audiences, and a slug 255 characters. */
const SHOWN_NAMES = 10;

/** Tones of the states of jobs, endpoints, backfills, watches, attempts and dead letters. */
const TONES: Readonly<Record<string, Tone>> = {
  running: 'good',
  delivered: 'good',
  finished: 'good',
  publishing: 'good',
  scanning: 'good',
  confirming: 'good',
  // A watch between its rounds.
  waiting: 'good',
  starting: 'caution',
  paused: 'caution',
  stopping: 'caution',
  held: 'caution',
  new: 'caution',
  recovering: 'caution',
  redelivering: 'caution',
  unknown: 'caution',
  kept: 'quiet',
  stopped: 'quiet',
  cancelled: 'quiet',
  skipped: 'quiet',
  unsent: 'quiet',
  redelivered: 'quiet',
  discarded: 'quiet',
  expired: 'quiet',
};

/** The tone of a state. States that nobody listed are bad: a workflow that failed or was terminated, an unhealthy endpoint. */
export function toneOf(state: string): Tone {
  return TONES[state] ?? 'bad';
}

/** A job's status, row by row, without empty rows. Nothing in it can control a terminal. */
export function statusRows(status: JobStatus, telling: Telling): StatusRow[] {
  const { time } = telling;
  const { kept, resetAt, endpoint, backfill, waits, lastFailure, recoverableUntil } = status;
  const rows: Row[] = [
    { name: 'State', value: status.state, tone: toneOf(status.state) },
    { name: 'Why', value: status.reason && printableReason(status.reason) },
    ...fieldRows(status, telling),
    { name: 'Received', value: received(status) },
    { name: 'Delivered', value: delivered(status, time) },
    kept === undefined
      ? { name: 'Waiting', value: waiting(status, time) }
      : { name: 'Kept', value: keptText(kept, time) },
    { name: 'Discarded', value: discarded(status), tone: 'caution' },
    {
      name: 'Reset',
      value:
        resetAt &&
        `${time(resetAt)}: what came after the moment that it went back to is taken again, and may be sent again`,
    },
    {
      name: 'Recoverable',
      value: recoverableUntil && `until ${recoverableUntil.slice(0, 16).replace('T', ' ')} UTC`,
    },
    {
      name: 'In flight',
      value: `${shownCount(status.inFlight)} of at most ${shownCount(status.parallelRequestCount)}`,
    },
    {
      name: 'Not yet quiet',
      value: status.mayStillSend && 'not all workers have confirmed that they begin no further request',
      tone: 'caution',
    },
    { name: 'Dead letters', value: deadLetters(status), tone: status.deadLettersWaiting === 0 ? 'quiet' : 'bad' },
    {
      name: 'Endpoint',
      value: endpoint && endpointText(endpoint, status, time),
      ...(endpoint === undefined ? {} : { tone: toneOf(endpoint.state) }),
    },
    ...throttled(waits, time).map((value) => ({ name: 'Throttled', value })),
    {
      name: 'Last failure',
      value:
        lastFailure &&
        `${failureInWords(lastFailure)}, ${time(lastFailure.at)}${after(', in worker ', lastFailure.worker)}${after(': ', lastFailure.answer)}`,
    },
    {
      name: kindOfBackfill(backfill),
      value: backfill && [backfillText(backfill), ...backfillLimits(status)].join(', '),
    },
    { name: '', value: backfill?.notice && printableReason(backfill.notice) },
    { name: '', value: backfill?.trouble && printableReason(backfill.trouble), tone: 'caution' },
    ...status.notices.map((notice) => ({ name: 'Notice', value: printableReason(notice), tone: 'caution' as const })),
    ...status.rejects
      .slice(-SHOWN_REJECTS)
      .map(({ at, reason }) => ({ name: 'Rejected', value: `${time(at)}: ${printable(reason)}` })),
  ];
  return rows.flatMap(({ value, ...row }) => (value === undefined || value === '' ? [] : [{ ...row, value }]));
}

const SHOWN_REJECTS = 3;

/** The waits that no row of a field tells of: for the endpoint, and for throttles of newer workers. */
function throttled(waits: Waits, time: Telling['time']): string[] {
  const { endpoint, quiet: _, quota: __, rate: ___, batch: ____, ...others } = waits;
  const texts = Object.entries(others).map(
    ([field, until]) => `by its "${field}"; the next request goes ${time(until)}`,
  );
  return endpoint === undefined
    ? texts
    : [`the endpoint asked to wait; the next request goes ${time(endpoint)}`, ...texts];
}

type Row = Omit<StatusRow, 'value'> & { readonly value: string | undefined };

/** The fields of the job that differ from the default, a row each. */
function fieldRows(status: JobStatus, telling: Telling): Row[] {
  return EDITABLE_FIELDS.flatMap((field) => {
    const { row } = FIELDS[field];
    const tell = FIELD_TEXTS[field] ?? plainly(field);
    return row === null ? [] : [{ name: row, value: tell(status, telling) }];
  });
}

type FieldText = (status: JobStatus, telling: Telling) => string | undefined;

function plainly(field: keyof JobEdit): FieldText {
  return ({ [field]: value }) => {
    if (value == null || value === FIELDS[field].default) return undefined;
    return printable(typeof value === 'string' ? value : JSON.stringify(value));
  };
}

/** Fields that need more words than their value. */
const FIELD_TEXTS: { readonly [Field in keyof JobEdit]?: FieldText } = {
  audiences: ({ audiences }, { mostNames }) =>
    names(
      audiences.map(({ slug }) => slug),
      mostNames,
    ),
  authorization: ({ authorization }) => printable(authorization ?? 'none'),
  exportFields: format,
  events: ({ events }) => events?.join(' and '),
  method: shape,
  batch: batches,
  requestsPerSecond: rateLimit,
  quietHours: quiet,
  quota: quotaText,
  endsAt: end,
  answers,
  retryFor: retries,
};

function names(all: readonly string[], most = Infinity): string {
  const more = all.length - most;
  return printable(`${all.slice(0, most).join(', ')}${more > 0 ? ` and ${more} more` : ''}`);
}

function after(mark: string, text: string | undefined): string {
  return text === undefined || text === '' ? '' : `${mark}${printable(text)}`;
}

function format({ userLegacyMessageFormat, exportFields, memberships }: JobStatus, { mostNames }: Telling): string {
  const kind = userLegacyMessageFormat ? 'legacy' : 'new';
  const fields = exportFields.length === 0 ? 'all fields' : names(exportFields.map(fieldName), mostNames);
  return `${kind}, ${fields}${memberships ? ', and all memberships' : ''}`;
}

/** A field that is sent, for people. */
export function fieldName(field: ExportField): string {
  return typeof field === 'string' ? field : `${field.field} as ${field.as}`;
}

/** How the requests differ from a POST of the default body, in few words; templates are in `status --json`. */
function shape(status: RequestSettings): string | undefined {
  const { method, contentType, headers, body, envelope, onEnter, onExit } = status;
  const parts = [
    ...shapeWords({ method, contentType, headers, body }),
    ...(envelope == null ? [] : [`in an envelope of ${envelope}`]),
    ...eventWords('enter', onEnter),
    ...eventWords('exit', onExit),
  ];
  return parts.length === 0 ? undefined : printable(parts.join('; '));
}

function eventWords(event: string, own: EventShape | null | undefined): string[] {
  if (own == null) return [];
  const url = own.webhookUrl == null ? [] : [`to ${own.webhookUrl}`];
  const words = [...shapeWords(own), ...url];
  return words.length === 0 ? [] : [`${event}: ${words.join(', ')}`];
}

function shapeWords({ method, contentType, headers, body }: EventShape): string[] {
  const more = Object.keys(headers ?? {}).length;
  return [
    ...(method == null ? [] : [method]),
    ...(contentType == null ? [] : [contentType]),
    ...(more === 0 ? [] : [counted(more, 'header')]),
    ...(body == null ? [] : [body === '' ? 'no body' : 'a body of its own']),
  ];
}

/** `404, 409 mean delivered; exit: 5xx means retry` */
function answers({ answers: usual, onEnter, onExit }: RequestSettings & { readonly answers?: Answers | null }): string {
  const tables = [
    ['', usual],
    ['enter: ', onEnter?.answers],
    ['exit: ', onExit?.answers],
  ] as const;
  return tables.flatMap(([of, table]) => (table == null ? [] : [of + answersText(table)])).join('; ');
}

function answersText(answers: Answers): string {
  const meanings = [...new Set(Object.values(answers))];
  return meanings
    .map((meaning) => {
      const statuses = Object.keys(answers).filter((status) => answers[status] === meaning);
      return `${statuses.join(', ')} ${statuses.length === 1 ? 'means' : 'mean'} ${meaning}`;
    })
    .join('; ');
}

/** How long a trigger is retried, where it is not as long as usual, and after which waits. */
function retries({ retryFor }: JobStatus): string | undefined {
  if (retryFor == null) return undefined;
  const delays = retryDelaysMs(retryFor).map(duration);
  const more = delays.length > SHOWN_DELAYS ? ' …' : '';
  return `for ${retryFor}: again after ${delays.slice(0, SHOWN_DELAYS).join(', ')}${more}`;
}

const SHOWN_DELAYS = 9;

/** When it stops by itself. */
function end({ endsAt }: JobStatus): string | undefined {
  return endsAt === null ? undefined : `by itself, at ${shownTime(endsAt)}`;
}

function received({ received: all, repeated, filtered = 0, staleDropped = 0, rejected }: JobStatus): string {
  const parts = [
    shownCount(all),
    ...(repeated > 0
      ? [`of which ${shownCount(repeated)} ${repeated === 1 ? 'was a repeat' : 'were repeats'} and not sent again`]
      : []),
    ...(filtered > 0 ? [`of which ${shownCount(filtered)} ${filtered === 1 ? 'was' : 'were'} skipped`] : []),
    ...(staleDropped > 0
      ? [`of which ${shownCount(staleDropped)} came too late and ${staleDropped === 1 ? 'was' : 'were'} dropped`]
      : []),
    ...(rejected > 0 ? [`beside ${shownCount(rejected)} that ${rejected === 1 ? 'was' : 'were'} rejected`] : []),
  ];
  return parts.join(', ');
}

function delivered(status: JobStatus, time: Telling['time']): string {
  const { oneMinute, fiveMinutes } = status.ratePerSecond;
  const parts = [
    shownCount(status.delivered),
    ...(isDelivering(status) ? [`about ${oneMinute} a second of late, ${fiveMinutes} in the longer run`] : []),
    ...(status.retried > 0 ? [counted(status.retried, 'retry', 'retries')] : []),
    ...(status.lastDeliveredAt === undefined ? [] : [`last ${time(status.lastDeliveredAt)}`]),
  ];
  return parts.join(', ');
}

/** Whether its rate is shown. Displays may stay until something else happens, and the rate of an idle job would soon be out of date. */
export function isDelivering({ ratePerSecond, waiting, inFlight }: JobStatus): boolean {
  return ratePerSecond.oneMinute + ratePerSecond.fiveMinutes > 0 && waiting + inFlight > 0;
}

function waiting({ waiting: all, delayed, overflow, oldestWaitingAt }: JobStatus, time: Telling['time']): string {
  const parts = [
    shownCount(all),
    ...(delayed > 0
      ? [`${delayed === 1 ? '1 person waits' : `${shownCount(delayed)} people wait`} for the next attempt`]
      : []),
    ...(overflow > 0 ? [`${shownCount(overflow)} in the overflow`] : []),
    ...(oldestWaitingAt === undefined ? [] : [`oldest ${time(oldestWaitingAt)}`]),
  ];
  return parts.join(', ');
}

/** Says how many triggers an operator dropped. */
function discarded({ discarded: count = 0 }: JobStatus): string | undefined {
  return count === 0 ? undefined : `${shownCount(count)} that waited, by a stop or for a person who was forgotten`;
}

function keptText({ waiting: left, keptAt, backfill: rest }: KeptTriggers, time: Telling['time']) {
  const more = rest === undefined ? '' : ` and the rest of ${keptBackfillInWords(rest)}`;
  const next = left === 0 && rest === undefined ? '' : '; resume the job to send them';
  return `${counted(left, 'trigger')}${more}, ${time(keptAt)}${next}`;
}

/** How many wait for a decision, where that is known, and how many there have been. */
function deadLetters(status: JobStatus): string | undefined {
  const { deadLettersWaiting: open, deadLettersOfEarlierJobs: earlier = 0 } = status;
  // The server lists a dead letter before the job knows that it is kept.
  const all = Math.max(status.deadLetters, (open ?? 0) - earlier);
  if (all === 0 && (open ?? 0) === 0) return undefined;
  if (open === 0) return `none waits for a decision; ${shownCount(all)} so far`;
  const whose = earlier === 0 ? '' : ` (${shownCount(earlier)} of them of an earlier job of this id)`;
  const which =
    open === undefined ? '' : `${open === 1 ? '1 waits' : `${shownCount(open)} wait`} for a decision${whose}, `;
  return `${which}${shownCount(all)} so far`;
}

const NEW_ENDPOINT = 'new: it has accepted nothing yet, so it gets one request at a time';

/** Says how the endpoint is, what happens next, and what a person can do about it. */
function endpointText(
  { state, nextProbeAt, advice }: EndpointStatus,
  { parallelRequestCount, state: phase, inFlight }: JobStatus,
  time: Telling['time'],
): string {
  if (state === 'recovering') return `recovering; requests in flight grow back to ${shownCount(parallelRequestCount)}`;
  const now = phase === 'paused' ? ', and none while the job is paused' : inFlight > 0 ? ', one is being sent now' : '';
  const next = nextProbeAt === undefined ? now : `, the next one ${time(nextProbeAt)}`;
  const like = state === 'new' ? NEW_ENDPOINT : 'unhealthy; only single probes are sent';
  return `${like}${next}${advice === undefined ? '' : `. ${printable(advice)}`}`;
}

const BAR_WIDTH = 24;

function backfillText(progress: BackfillStatus): string {
  const { state, pausedBy, expected, taken } = progress;
  const isOpen = state === 'running' || state === 'paused';
  const all = Math.max(expected ?? taken, taken);
  const filled = all === 0 ? 0 : Math.round((Math.min(settledOf(progress), all) / all) * BAR_WIDTH);
  const bar = isOpen ? `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ` : '';
  return `${bar}${pausedBy === 'sample' ? 'paused, now that the sample is sent' : state}, ${backfillProgress(progress)}`;
}

/** The name of a backfill by what it sends. */
export function kindOfBackfill({ difference, replay }: Partial<BackfillStatus> = {}): string {
  if (replay !== undefined) return 'Replay';
  return difference === undefined ? 'Backfill' : 'Reconcile';
}

/** How many of its people a backfill has done with. */
export function settledOf({ delivered, superseded, deadLetters, filtered = 0, leftOut = [] }: BackfillStatus): number {
  return leftOut.reduce((sum, { members }) => sum + members, delivered + superseded + deadLetters + filtered);
}

/** Tells how many people of a backfill were settled, and how; then its pace and its end. */
export function backfillProgress(progress: BackfillStatus): string {
  const { state, expected, taken, delivered: sent, superseded, leftOut = [], filtered = 0 } = progress;
  const { deadLetters: dead, difference, replay } = progress;
  const asked = replay ?? difference;
  const all = expected === undefined ? `${shownCount(taken)} read` : shownCount(Math.max(expected, taken));
  const parts = [
    `${shownCount(sent)} sent of ${all}`,
    ...(asked === undefined ? [] : [`${counted(asked.enters, 'enter')} and ${counted(asked.exits, 'exit')} asked for`]),
    ...(superseded === 0
      ? []
      : [
          `${shownCount(superseded)} skipped (${difference === undefined ? '' : 'changed since, or '}newer live trigger)`,
        ]),
    ...leftOut.map(({ audience, members }) => `${shownCount(members)} skipped (${printable(audience)} was removed)`),
    ...(filtered === 0 ? [] : [`${shownCount(filtered)} filtered`]),
    ...(dead === 0 ? [] : [counted(dead, 'dead letter')]),
    ...(state === 'running' && progress.ratePerSecond > 0 ? [`${perSecond(progress.ratePerSecond)}/s`] : []),
    ...(progress.lastFrom === undefined
      ? []
      : [`the last of them from ${shownTime(progress.lastFrom)} on, as far as the quota allows`]),
    ...(progress.secondsLeft === undefined ? [] : [`${duration(progress.secondsLeft * 1000)} left`]),
  ];
  return parts.join(', ');
}

/** The limits of a backfill of the job, while they make a difference. */
function backfillLimits({ backfill, backfillPerSecond, backfillParallelCount }: JobStatus): string[] {
  if (isBackfillOver(backfill?.state)) return [];
  return [
    ...(backfillPerSecond === null ? [] : [`at most ${shownLimit(backfillPerSecond)}/s`]),
    ...(backfillParallelCount === null ? [] : [`at most ${shownCount(backfillParallelCount)} in flight`]),
  ];
}

/** When the job sends nothing and, while that is so, until when. */
function quiet({ quietHours, waits }: JobStatus): string | undefined {
  if (quietHours === null) return undefined;
  const { from, to, timeZone, days, meanwhile } = quietHours;
  const when = `${from} to ${to} in ${timeZone}${days === undefined ? '' : `, from ${days.join(', ')}`}`;
  const what = `what comes meanwhile ${meanwhile === 'drop' ? 'is not sent' : 'waits'}`;
  const now = waits.quiet === undefined ? '' : `; now, until ${shownTime(waits.quiet)} (${to} there)`;
  return printable(`${when}; ${what}${now}`);
}

/** The quota of people, how much of it is used and, once it is used up, when the next one begins. */
function quotaText({ quota, quotaUsed, waits }: JobStatus): string | undefined {
  if (quota === null) return undefined;
  const { people, per, timeZone } = quota;
  const limit = `at most ${counted(people, 'person', 'people')} ${per === 'hour' ? 'an' : 'a'} ${per} in ${timeZone}`;
  const used = quotaUsed === undefined ? '' : `, ${shownCount(quotaUsed)} so far in this one`;
  const until = waits.quota === undefined ? '' : `; the rest waits for the next, at ${shownTime(waits.quota)}`;
  return printable(limit + used + until);
}

/** The rate limit of all requests of the job, and until when it makes them wait. */
function rateLimit({ requestsPerSecond, waits: { rate: until } }: JobStatus, { time }: Telling) {
  if (requestsPerSecond === null) return undefined;
  const limit = `at most ${shownLimit(requestsPerSecond)} requests a second`;
  return until === undefined ? limit : `${limit}; the next one goes ${time(until)}`;
}

/** How many triggers a request carries, and what the next one waits for. */
function batches({ batch, waits: { batch: until } }: JobStatus, { time }: Telling): string | undefined {
  if (batch === null) return undefined;
  const after = batch.afterMs === 0 ? '' : `, or what is there after ${duration(batch.afterMs)}`;
  const next = until === undefined ? '' : `; the next one goes when it is full, or ${time(until)}`;
  return `at most ${shownCount(batch.size)} in a request${after}${next}`;
}

/** As it was set, which may be less than 1. */
function shownLimit(limit: number): string {
  return Number.isInteger(limit) ? shownCount(limit) : String(limit);
}

/** A rate as people read it: whole numbers from 10 on. */
function perSecond(rate: number): string {
  return rate >= 10 ? shownCount(Math.round(rate)) : String(Math.round(rate * 10) / 10);
}

/** Says how far a kept backfill has read. */
export function keptBackfillInWords({ n, taken, expected }: KeptBackfill): string {
  const read = expected === undefined ? shownCount(taken) : `${shownCount(taken)} of ${shownCount(expected)}`;
  return `backfill ${n} (${read} members read)`;
}
