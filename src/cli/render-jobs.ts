import { endedInWords } from '../words/losses.ts';
import type {
  AuditChange,
  AuditEntry,
  FieldChange,
  JobNumbers,
  JobOverview,
  StartedJob,
} from '../client/job-client.ts';
import type { Problem } from '../contract/export-job.ts';
import type { BackfillStatus, JobStatus, KeptTriggers } from '../contract/job-status.ts';
import type { LoggedDeed } from '../contract/audit.ts';
import { ALIKE, deedInWords, targetInWords } from '../words/audit.ts';
import { counted, duration, printable } from '../domain/text.ts';
import { shellWord } from '../words/text.ts';
import { isDelivering, type StatusRow, statusRows, type Tone } from '../words/status-rows.ts';
import { twinText } from '../client/jobs/twins.ts';
import { commandLine, count, field, fromNow, headed, wrap } from './text.ts';
import { type Paint, plain, type Style, type Terminal } from './terminal.ts';

/** Replaces values that cannot be read here. */
const ENCRYPTED = '(encrypted)';

/** A job's status for people, at most `columns` wide. */
export function statusLines(status: JobStatus, options: { nowMs: number; columns?: number; paint?: Paint }): string[] {
  const { nowMs, columns = 80, paint = plain } = options;
  const rows = statusRows(status, { time: (at) => fromNow(at, nowMs) });
  return [`${paint('bold', printable(status.label))} (${status.jobId})`, ...rowLines(rows, { columns, paint })];
}

/** The rows of a job's or a watch's status. */
export function rowLines(
  rows: readonly StatusRow[],
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string[] {
  return rows.flatMap(({ name, value, tone }) =>
    field(name, tone === undefined ? value : paint(STYLES[tone], value), columns),
  );
}

const STYLES: Readonly<Record<Tone, Style>> = { good: 'green', caution: 'yellow', bad: 'red', quiet: 'dim' };

/** A job's status on one line: for logs and pipes. */
export function statusLine(status: JobStatus): string {
  const parts = [
    status.state,
    `delivered ${count(status.delivered)}`,
    `waiting ${count(status.waiting)}`,
    ...(status.delayed > 0 ? [`delayed ${count(status.delayed)}`] : []),
    `in flight ${count(status.inFlight)}`,
    ...(isDelivering(status) ? [`${count(status.ratePerSecond.oneMinute)}/s`] : []),
    ...(status.endpoint === undefined ? [] : [`endpoint ${status.endpoint.state}`]),
    ...backfillPart(status.backfill),
  ];
  return parts.join('  ');
}

/** The list of jobs, one line each. */
export function jobTable(
  jobs: readonly JobOverview[],
  options: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const { nowMs, columns = 80, paint = plain } = options;
  const rows = jobs.map((job) => [
    printable(job.jobId),
    jobState(job),
    ...numbers(job, nowMs),
    printable(job.label ?? ''),
    job.unreadable === undefined ? printable((job.audiences ?? []).map(({ slug }) => slug).join(', ')) : ENCRYPTED,
  ]);
  const ended = jobs.filter((job) => job.endedFromOutside);
  const advice = ended.flatMap((job) => {
    const remedy = job.left?.until === undefined ? '' : ` Recover it: triggers recover ${shellWord(job.jobId)}`;
    return wrap(paint('red', `${printable(job.jobId)}: ${endedInWords(job)}${remedy}`), columns);
  });
  return [...headed([JOB_COLUMNS, ...rows], { columns, paint }), ...advice];
}

const JOB_COLUMNS = ['JOB', 'STATE', 'WAITING', 'DELIVERED', 'LAST', 'LETTERS', 'LABEL', 'AUDIENCES'];

/** Waiting, delivered, last delivered, dead letters. */
function numbers({ running, state, left, numbers: jobNumbers }: JobOverview, nowMs: number): string[] {
  const about = left?.waiting === undefined ? '?' : `about ${count(left.waiting)}`;
  if (!running) return [state === 'stopped' ? '' : about, '', '', ''];
  if (jobNumbers === undefined) return ['?', '?', '?', '?'];
  const { waiting, delivered: done, lastDeliveredAt } = jobNumbers;
  const last = lastDeliveredAt === undefined ? 'never' : fromNow(lastDeliveredAt, nowMs);
  return [count(waiting), count(done), last, letters(jobNumbers)];
}

function letters({ deadLettersWaiting: all = 0, deadLettersOfEarlierJobs: earlier = 0 }: JobNumbers): string {
  if (all === 0) return '';
  return earlier === 0 ? count(all) : `${count(all)} (${count(earlier)} earlier)`;
}

function jobState({ state, kept: still, numbers: jobNumbers }: JobOverview): string {
  if (jobNumbers?.endpoint !== undefined) return `${state}, endpoint ${jobNumbers.endpoint}`;
  if (still !== undefined) return `${state}, ${keptPart(still)}`;
  return state;
}

/** The text about a started job, and the next steps. */
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
    `${paint('green', 'Started')} ${paint('bold', job.jobId)}, subscribed to ${audiences.join(', ')}.${members}`,
    ...[...job.warnings, ...job.twins.map(twinText)].map(
      (warning) => `${paint('yellow', 'Warning:')} ${printable(warning)}`,
    ),
    ...(job.missingSearchAttributes.length === 0
      ? []
      : [
          `${paint('yellow', 'Note:')} the namespace lacks ${job.missingSearchAttributes.join(', ')}, so the Temporal UI cannot be searched by them. Register them with: triggers setup`,
        ]),
    `Follow it with: triggers status ${job.jobId} --watch`,
  ];
  return lines.flatMap((line) => wrap(line, columns));
}

/** Fields of a form before and after an edit, one a line. */
export function changeLines(changes: readonly (FieldChange | AuditChange)[]): string[] {
  const width = Math.max(...changes.map(({ field: name }) => name.length));
  return changes.map(({ field: name, from, to }) => {
    const [before, after] = [shownValue(from), shownValue(to)];
    return `  ${name.padEnd(width)}  ${before} → ${after}${before === after ? ALIKE : ''}`;
  });
}

/** As in a job file; a long list or description is cut. */
function shownValue(value: unknown): string {
  const text = printable(JSON.stringify(value));
  return text.length <= LONGEST_VALUE ? text : `${text.slice(0, LONGEST_VALUE)}…`;
}

const LONGEST_VALUE = 200;

/** The history of a job, a deed a line, with the fields that an edit changed. */
export function historyLines(
  entries: readonly (AuditEntry | LoggedDeed)[],
  { columns, paint }: { readonly columns: number; readonly paint: Paint },
): string[] {
  const rows = entries.map((entry) => [
    entry.at.slice(0, 19).replace('T', ' '),
    printable(entry.who ?? '?'),
    entry.door,
    ...('kind' in entry ? [printable(targetInWords(entry))] : []),
    deedInWords(entry),
    printable(entry.reason ?? ''),
  ]);
  const on = entries.some((entry) => 'kind' in entry) ? ['ON'] : [];
  const [head = '', ...lines] = headed([['AT', 'WHO', 'DOOR', ...on, 'WHAT', 'WHY'], ...rows], { columns, paint });
  return [
    head,
    ...lines.flatMap((line, i) => [
      line,
      ...changeLines(entries[i]?.changes ?? []).flatMap((one) => wrap(one, columns)),
    ]),
  ];
}

/** Problems by field. */
export function problemLines(problems: readonly Problem[], columns = 80): string[] {
  const names = problems.map(({ field: name }) => printable(name) || 'job');
  const width = Math.max(...names.map((name) => name.length)) + 2;
  return problems.flatMap(({ message, remedies = [] }, i) =>
    [...message.split('\n'), ...remedies.map(commandLine)]
      .flatMap((line) => wrap(printable(line), Math.max(20, columns - width - 2)))
      .map((line, row) => `  ${(row === 0 ? (names[i] ?? '') : '').padEnd(width)}${line}`),
  );
}

function keptPart({ waiting: left, backfill: rest }: Partial<KeptTriggers>): string {
  return `${left === undefined ? ENCRYPTED : count(left)} kept${rest === undefined ? '' : ', and a backfill'}`;
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
