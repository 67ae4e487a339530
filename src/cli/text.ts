import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';
import { duration, printable, shownCount } from '../domain/text.ts';
import type { Paint } from './terminal.ts';
import { remediesOf } from '../client/calls/errors.ts';
import type { Remedy } from '../contract/remedy.ts';
import { remedyLine, type RemedyWords } from '../words/remedy.ts';

// The parts of every command's output: counts and times, fields, sentences and tables, fitted to the width of the terminal.

/** 12,345 */
export function count(n: number): string {
  return shownCount(Math.round(n));
}

/** An RFC 3339 time seen from `nowMs`: `8 s ago`, `in 3 min`. */
export function fromNow(time: string, nowMs: number): string {
  const ms = Date.parse(time) - nowMs;
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
}

const LABEL_WIDTH = 14;

/** A name, then its value, whose continuation lines are indented. */
export function field(name: string, value: string, columns: number): string[] {
  const width = Math.max(20, columns - LABEL_WIDTH - 2);
  return wrap(value, width).map((line, i) => `  ${(i === 0 ? name : '').padEnd(LABEL_WIDTH)}${line}`);
}

/** Breaks lines at spaces, and inside words that are longer than a line. Each continuation is indented like the text. */
export function wrap(text: string, columns: number): string[] {
  const [indent = ''] = /^\s*/.exec(text) ?? [];
  const broken = wrapAnsi(text.slice(indent.length), Math.max(1, columns - indent.length), { hard: true });
  return broken.split('\n').map((line) => indent + line);
}

/** Sentences for people, safe to show and without colours. Lines longer than the terminal are wrapped. */
export function sentences(text: string, { columns }: { readonly columns: number }): string {
  return text
    .split('\n')
    .map(printable)
    .flatMap((line) => (stringWidth(line) <= columns ? [line] : wrap(line, columns)))
    .join('\n');
}

/** Columns of the necessary width; the last ones are cut at the end of the line. */
export function table(rows: readonly (readonly string[])[], columns: number): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => stringWidth(row[i] ?? ''))));
  return rows.map((row) => {
    const line = row
      .map((cell, i) => cell + ' '.repeat((widths[i] ?? 0) - stringWidth(cell)))
      .join('  ')
      .trimEnd();
    if (stringWidth(line) <= columns) return line;
    const [begin = ''] = wrapAnsi(line, columns - 1, { hard: true, wordWrap: false, trim: false }).split('\n');
    return `${begin}…`;
  });
}

/** The same, with the first row as its head. */
export function headed(
  rows: readonly (readonly string[])[],
  { columns, paint }: { readonly columns: number; readonly paint: Paint },
): string[] {
  const [head = '', ...lines] = table(rows, columns);
  return [paint('dim', head), ...lines];
}

/** The width of a table: in a pipe nothing is cut. */
export function tableColumns({
  interactive,
  columns,
}: {
  readonly interactive: boolean;
  readonly columns: number;
}): number {
  return interactive ? columns : Infinity;
}

/** The command for each remedy. */
const COMMANDS: RemedyWords = {
  listJobs: () => 'triggers list',
  status: ({ job = 'JOB' }) => `triggers status ${job}`,
  logged: ({ job = 'JOB' }) => `triggers deliveries ${job}`,
  start: () => 'triggers start',
  edit: ({ job = 'JOB' }) => `triggers edit ${job} …`,
  resume: ({ job = 'JOB' }) => `triggers resume ${job}`,
  recover: ({ job = 'JOB' }) => `triggers recover ${job}`,
  discard: ({ job = 'JOB' }) => `triggers stop ${job} --waiting discard`,
  discardRecoverable: () => 'triggers start … --discard-recoverable',
  listWatches: () => 'triggers watch --list',
  listDeadLetters: () => 'triggers dead-letters list',
  deadLetter: ({ id = 'ID' }) => `triggers dead-letters show ${id}`,
  force: () => 'add --force',
  render: () => 'triggers render',
  startWorker: () => 'triggers worker (or everything at once: triggers up)',
  // With that variable, `up` starts no server.
  startTemporal: () => `${(process.env['TEMPORAL_ADDRESS'] ?? '') === '' ? '' : 'env -u TEMPORAL_ADDRESS '}triggers up`,
  findTest: () => undefined,
};

/** `Resume it: triggers resume crm` */
export function commandLine(remedy: Remedy): string {
  return remedyLine(remedy, COMMANDS);
}

/** The remedies for a failure, one a line. */
export function remedyLines(error: unknown): string[] {
  return remediesOf(error).map(commandLine);
}

/** The message of an error, then its remedies. */
export function withRemedies(error: Error): string {
  return [error.message, ...remedyLines(error)].join('\n');
}
