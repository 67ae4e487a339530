import { stripVTControlCharacters } from 'node:util';
import type { JobSummary, StartedJob } from '../client/export-jobs.ts';
import type { Problem } from '../contract/export-job.ts';
import type {
  BackfillStatus,
  EndpointStatus,
  JobState,
  JobStatus,
  KeptTriggers,
  LastFailure,
} from '../contract/job-status.ts';
import { failureInWords } from '../domain/attempt-codes.ts';
import { printable } from '../domain/printable.ts';
import { count, counted, duration, fromNow } from './numbers.ts';
import { type Paint, plain, type Style } from './terminal.ts';

const STATES: Readonly<Record<JobState, { style: Style; words: string }>> = {
  starting: { style: 'yellow', words: 'starting' },
  running: { style: 'green', words: 'running' },
  paused: { style: 'yellow', words: 'paused' },
  stopping: { style: 'yellow', words: 'stopping' },
  stopped: { style: 'dim', words: 'stopped' },
};

const LABEL_WIDTH = 14;
const BAR_WIDTH = 24;

/**
 * A job's status for people, at most `columns` wide.
 * @param ratePerS deliveries a second just now, when it is known.
 */
export function statusLines(
  status: JobStatus,
  options: { nowMs: number; columns?: number; paint?: Paint; ratePerS?: number },
): string[] {
  const { nowMs, columns = 80, paint = plain, ratePerS } = options;
  const { style, words } = STATES[status.state];
  const rows: (readonly [string, string | undefined])[] = [
    ['State', paint(style, words)],
    ['Why', status.reason && printable(status.reason)],
    ['Audiences', printable(status.audiences.map(({ slug }) => slug).join(', '))],
    ['Sends to', printable(status.webhookUrl)],
    ['Authorization', printable(status.authorization ?? 'none')],
    ['Format', printable(format(status))],
    ['Received', received(status)],
    ['Delivered', delivered(status, nowMs, ratePerS)],
    ['Waiting', status.kept === undefined ? waiting(status, nowMs) : undefined],
    ['Kept', status.kept && kept(status.kept, status.jobId, nowMs)],
    ['Recoverable', status.recoverableUntil && `until ${status.recoverableUntil.slice(0, 16).replace('T', ' ')} UTC`],
    ['In flight', `${count(status.inFlight)} of at most ${count(status.parallelRequestCount)}`],
    ['Dead letters', status.deadLetters > 0 ? paint('red', deadLetters(status)) : undefined],
    ['Endpoint', status.endpoint && paint('yellow', endpoint(status.endpoint, status.parallelRequestCount, nowMs))],
    [
      'Throttled',
      status.throttledUntil &&
        `the endpoint asked to wait; the next request goes ${fromNow(status.throttledUntil, nowMs)}`,
    ],
    ['Last failure', status.lastFailure && failure(status.lastFailure, nowMs)],
    ['Backfill', status.backfill && backfill(status.backfill)],
    ['', status.backfill?.notice && printable(status.backfill.notice)],
    ['', status.backfill?.trouble && paint('yellow', printable(status.backfill.trouble))],
    ...status.notices.map((notice) => ['Notice', paint('yellow', printable(notice))] as const),
    ...status.rejects
      .slice(-3)
      .map(({ at, reason }) => ['Rejected', `${fromNow(at, nowMs)}: ${printable(reason)}`] as const),
  ];
  return [
    `${paint('bold', printable(status.label))} (${status.jobId})`,
    ...rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : field(name, value, columns))),
  ];
}

/** A job's status on one line: for logs and pipes. */
export function statusLine(status: JobStatus, ratePerS?: number): string {
  const parts = [
    status.state,
    `delivered ${count(status.delivered)}`,
    `waiting ${count(status.waiting)}`,
    ...(status.held > 0 ? [`held ${count(status.held)}`] : []),
    `in flight ${count(status.inFlight)}`,
    ...(ratePerS === undefined ? [] : [`${count(ratePerS)}/s`]),
    ...(status.endpoint === undefined ? [] : [`endpoint ${status.endpoint.state}`]),
    ...backfillPart(status.backfill),
  ];
  return parts.join('  ');
}

/** The list of jobs, one line each. */
export function jobTable(jobs: readonly JobSummary[], options: { columns?: number; paint?: Paint } = {}): string[] {
  const { columns = 80, paint = plain } = options;
  const rows = jobs.map((job) => [
    printable(job.jobId),
    job.kept === undefined ? job.state : `${job.state}, ${count(job.kept.waiting)} kept`,
    printable(job.label ?? ''),
    printable((job.audiences ?? []).map(({ slug }) => slug).join(', ')),
  ]);
  const [head = '', ...lines] = table([['JOB', 'STATE', 'LABEL', 'AUDIENCES'], ...rows], columns);
  return [paint('dim', head), ...lines];
}

/** What was started, and what to do next. */
export function startedLines(
  job: StartedJob,
  existingUsers: string,
  { columns = 80, paint = plain }: { columns?: number; paint?: Paint } = {},
): string[] {
  const audiences = job.audiences.map(({ slug, size }) =>
    size === undefined ? printable(slug) : `${printable(slug)} (${counted(size, 'member')})`,
  );
  const members = existingUsers === '' ? '' : ` ${existingUsers}`;
  const lines = [
    `${paint('green', 'Started')} ${paint('bold', job.jobId)}, listening to ${audiences.join(', ')}.${members}`,
    ...job.warnings.map((warning) => `${paint('yellow', 'Warning:')} ${printable(warning)}`),
    ...(job.missingSearchAttributes.length === 0
      ? []
      : [
          `${paint('yellow', 'Note:')} the namespace lacks ${job.missingSearchAttributes.join(', ')}, so the Temporal UI cannot be searched by them. Register them with: triggers setup`,
        ]),
    `Look at it with: triggers status ${job.jobId} --watch`,
  ];
  return lines.flatMap((line) => wrap(line, columns));
}

/** Problems by field. */
export function problemLines(problems: readonly Problem[], columns = 80): string[] {
  const names = problems.map(({ field: name }) => name || 'job');
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return problems.flatMap(({ message }, i) =>
    wrap(printable(message), Math.max(20, columns - width - 2)).map(
      (line, row) => `  ${(row === 0 ? (names[i] ?? '') : '').padEnd(width)}${line}`,
    ),
  );
}

function format(status: JobStatus): string {
  const kind = status.userLegacyMessageFormat ? 'legacy' : 'new';
  return `${kind}, ${status.exportFields.length === 0 ? 'all fields' : status.exportFields.join(', ')}`;
}

function received({ received: all, repeated, rejected }: JobStatus): string {
  const parts = [
    count(all),
    ...(repeated > 0 ? [`${count(repeated)} of them repeats, not sent again`] : []),
    ...(rejected > 0 ? [`and ${count(rejected)} rejected`] : []),
  ];
  return parts.join(', ');
}

function kept({ waiting: left, keptAt }: KeptTriggers, jobId: string, nowMs: number): string {
  return `${counted(left, 'trigger')}, ${fromNow(keptAt, nowMs)}; resume it with: triggers resume ${jobId}`;
}

/** How many there have been; the other command says which of them are still there. */
function deadLetters({ deadLetters: all, jobId }: JobStatus): string {
  return `${count(all)} so far; see: triggers dead-letters list --job ${jobId}`;
}

function delivered(status: JobStatus, nowMs: number, ratePerS: number | undefined): string {
  const parts = [
    count(status.delivered),
    ...(ratePerS === undefined ? [] : [`${count(ratePerS)}/s`]),
    ...(status.retried > 0 ? [counted(status.retried, 'repeated attempt')] : []),
    ...(status.lastDeliveredAt === undefined ? [] : [`last ${fromNow(status.lastDeliveredAt, nowMs)}`]),
  ];
  return parts.join(', ');
}

function waiting(status: JobStatus, nowMs: number): string {
  const parts = [
    count(status.waiting),
    ...(status.held > 0
      ? [`${status.held === 1 ? '1 person waits' : `${count(status.held)} people wait`} for the next attempt`]
      : []),
    ...(status.overflow > 0 ? [`${count(status.overflow)} outside the job's own state`] : []),
    ...(status.oldestWaitingAt === undefined ? [] : [`oldest ${fromNow(status.oldestWaitingAt, nowMs)}`]),
  ];
  return parts.join(', ');
}

const NEW_ENDPOINT = 'new: it has accepted nothing yet, so it gets one request at a time, and what it refuses is kept';

/** What it is like, what happens next, and what a person can do about it. */
function endpoint({ state, nextProbeAt, advice }: EndpointStatus, parallel: number, nowMs: number): string {
  if (state === 'new') return NEW_ENDPOINT;
  if (state === 'recovering') return `recovering; requests in flight grow back to ${count(parallel)}`;
  const next = nextProbeAt === undefined ? '' : `, the next one ${fromNow(nextProbeAt, nowMs)}`;
  return `unwell; only single probes are sent${next}${advice === undefined ? '' : `. ${advice}`}`;
}

function failure(last: LastFailure, nowMs: number): string {
  const { at, answer } = last;
  return `${failureInWords(last)}, ${fromNow(at, nowMs)}${answer === undefined || answer === '' ? '' : `: ${printable(answer)}`}`;
}

function backfill(progress: BackfillStatus): string {
  const { state, pausedBy, expected, taken, delivered: sent, superseded, deadLetters: dead } = progress;
  const all = Math.max(expected ?? taken, taken);
  const settled = sent + superseded + dead;
  const filled = all === 0 ? 0 : Math.round((Math.min(settled, all) / all) * BAR_WIDTH);
  const isOpen = state === 'running' || state === 'paused';
  const parts = [
    pausedBy === 'sample' ? 'paused, now that the sample is sent' : state,
    `${count(sent)} sent of ${expected === undefined ? `${count(taken)} read` : count(all)}`,
    ...(superseded === 0 ? [] : [`${count(superseded)} left out (superseded by live triggers)`]),
    ...(dead === 0 ? [] : [counted(dead, 'dead letter')]),
    ...(state === 'running' && progress.ratePerSecond > 0 ? [`${rate(progress.ratePerSecond)}/s`] : []),
    ...(progress.secondsLeft === undefined ? [] : [`${duration(progress.secondsLeft * 1000)} left`]),
  ];
  const bar = isOpen ? `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ` : '';
  return `${bar}${parts.join(', ')}`;
}

/** For the one line of a log. */
function backfillPart(progress: BackfillStatus | undefined): string[] {
  if (progress?.state !== 'running' && progress?.state !== 'paused') return [];
  const { delivered: sent, expected, state, secondsLeft, trouble } = progress;
  const of = expected === undefined ? '' : ` of ${count(expected)}`;
  const left = secondsLeft === undefined ? '' : `, ${duration(secondsLeft * 1000)} left`;
  const failing = trouble === undefined ? '' : ', its source is failing';
  return [`backfill ${state === 'paused' ? 'paused at ' : ''}${count(sent)}${of}${left}${failing}`];
}

function rate(perSecond: number): string {
  return perSecond >= 10 ? count(perSecond) : String(Math.round(perSecond * 10) / 10);
}

/** A name, then its value, whose continuation lines are indented. */
export function field(name: string, value: string, columns: number): string[] {
  const width = Math.max(20, columns - LABEL_WIDTH - 2);
  return wrap(value, width).map((line, i) => `  ${(i === 0 ? name : '').padEnd(LABEL_WIDTH)}${line}`);
}

/** Breaks lines at spaces, and inside words that are longer than a line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=\S)\s+/)) {
    const next = line === '' ? word : `${line} ${word}`;
    if (visible(next) <= width) {
      line = next;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (visible(line) > width) {
      lines.push(line.slice(0, width));
      line = line.slice(width);
    }
  }
  return [...lines, line];
}

/** Sentences for people: each line broken where it is longer than the terminal is wide. */
export function sentences(text: string, { columns }: { readonly columns: number }): string {
  return text
    .split('\n')
    .flatMap((line) => (visible(line) <= columns ? [line] : wrap(line, columns)))
    .join('\n');
}

/** Columns as wide as they need to be; the last ones are cut where the line ends. */
export function table(rows: readonly (readonly string[])[], columns: number): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) => {
    const line = row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
    return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
  });
}

function visible(text: string): number {
  return stripVTControlCharacters(text).length;
}
