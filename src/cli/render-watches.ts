import { setTimeout } from 'node:timers/promises';
import { NoWorker } from '../client/errors.ts';
import type { ExportJobs, JobStatus, WatchStatus, WatchSummary } from '../client/export-jobs.ts';
import type { MissedRounds } from '../contract/watch.ts';
import { counted, duration, printable, printableReason } from '../domain/shown.ts';
import { count, field, fromNow, sentences, withRemedies } from './text.ts';
import { statusLine, statusLines } from './render-jobs.ts';
import { type Paint, plain, type Style, type Terminal } from './terminal.ts';

const REFRESH_MS = 1_000;

/**
 * Refreshes a job's status every second until it has ended or `signal` is aborted. For a person it redraws; in a pipe it writes a line per change.
 */
export async function watchStatus(
  jobs: Pick<ExportJobs, 'status'>,
  jobId: string,
  terminal: Terminal,
  options: { readonly json: boolean; readonly signal: AbortSignal; readonly refreshMs?: number },
): Promise<void> {
  const meter = new RateMeter();
  let shown = '';
  for (;;) {
    const status = await answerOf(jobs, jobId, terminal);
    if (options.signal.aborted) return;
    if (status !== undefined) {
      const ratePerS = meter.read(status.delivered, performance.now());
      const text = options.json ? JSON.stringify(status) : statusLine(status, ratePerS);
      if (!options.json && terminal.interactive) {
        const rate = ratePerS === undefined ? {} : { ratePerS };
        terminal.redraw(statusLines(status, { nowMs: Date.now(), ...terminal, ...rate }));
      } else if (text !== shown) terminal.out(text);
      shown = text;
      if (status.state === 'stopped') return;
    }
    if (await isAbortedWithin(options.refreshMs ?? REFRESH_MS, options.signal)) return;
  }
}

/** A worker's absence does not end the watching. */
async function answerOf(
  jobs: Pick<ExportJobs, 'status'>,
  jobId: string,
  terminal: Terminal,
): Promise<JobStatus | undefined> {
  try {
    return await jobs.status(jobId);
  } catch (error) {
    if (!(error instanceof NoWorker)) throw error;
    terminal.err(sentences(withRemedies(error), terminal));
    return undefined;
  }
}

/** Waits; returns true when it was aborted meanwhile. */
async function isAbortedWithin(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await setTimeout(ms, undefined, { signal });
    return false;
  } catch {
    return true;
  }
}

const WINDOW_MS = 10_000;

/** Deliveries a second over the last ten seconds. */
export class RateMeter {
  #readings: { count: number; atMs: number }[] = [];

  /** Undefined at the first reading. */
  read(count: number, atMs: number): number | undefined {
    this.#readings = [...this.#readings.filter((reading) => atMs - reading.atMs <= WINDOW_MS), { count, atMs }];
    const [first] = this.#readings;
    if (first === undefined || first.atMs === atMs) return undefined;
    return ((count - first.count) * 1000) / (atMs - first.atMs);
  }
}

const STATES: Readonly<Record<WatchStatus['state'], { style: Style; words: string }>> = {
  scanning: { style: 'green', words: 'reading the members' },
  confirming: { style: 'green', words: 'checking with the source who has left' },
  telling: { style: 'green', words: 'telling jobs' },
  waiting: { style: 'green', words: 'waiting for the next round' },
  held: { style: 'yellow', words: 'held' },
  failing: { style: 'red', words: 'failing; it is tried again' },
  stopped: { style: 'dim', words: 'stopped' },
};

/** One watch for people, at most `columns` wide. */
export function watchLines(
  { audience, status, unreadable }: WatchSummary,
  { nowMs, columns = 80, paint = plain }: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const title = `${paint('bold', printable(audience.slug))} (${printable(audience.name)})`;
  if (unreadable !== undefined) return [title, ...field('State', paint('red', printable(unreadable)), columns)];
  if (status === undefined)
    return [title, ...field('State', paint('red', 'no worker answers; start one with: triggers worker'), columns)];
  const { state, members, rounds, enters, exits, nextAt, everyMs } = status;
  const { style, words } = STATES[state];
  const rows: (readonly [string, string | undefined])[] = [
    ['Id', audience.id],
    ['State', paint(style, words)],
    ['Held', heldText(status, nowMs)],
    ['Trouble', troubleText(status, nowMs)],
    ['Members', members === undefined ? 'not known yet' : count(members)],
    ['Reported', `${counted(enters, 'enter')} and ${counted(exits, 'exit')} in ${counted(rounds, 'round')}`],
    ['Last round', lastText(status, nowMs)],
    ['Next round', `${nextAt === undefined ? 'now' : fromNow(nextAt, nowMs)}, every ${duration(everyMs)}`],
    ['Settings', settingsText(status)],
    ['Missed', missedText(status)],
    ['Not told', notToldText(status)],
    ['Away', awayText(status)],
    ...(status.last?.told.lost ?? []).map((one) => ['Missed', lostText(one)] as const),
  ];
  return [title, ...rows.flatMap(([name, value]) => (value === undefined ? [] : field(name, value, columns)))];
}

/** The settings of a watch, apart from how often it looks. */
export function settingsText({
  emitExisting,
  largestExitPercent,
}: Pick<WatchStatus, 'emitExisting' | 'largestExitPercent'>): string {
  const existing = emitExisting ? 'all members are reported as entering' : 'nobody is reported';
  const exits =
    largestExitPercent === 100
      ? 'No exits are held.'
      : `When more than ${largestExitPercent} % of the members leave at once, that is held until it is seen twice.`;
  return `${exits} Without an earlier snapshot, ${existing}.`;
}

function heldText({ held, audience }: WatchStatus, nowMs: number): string | undefined {
  if (held === undefined) return undefined;
  return `${counted(held.exits, 'member')} would leave at once and ${count(held.members)} would remain, seen ${fromNow(held.at, nowMs)}. Reported once the next round shows the same. If it is right: triggers watch ${audience.slug} --accept`;
}

function troubleText({ trouble }: WatchStatus, nowMs: number): string | undefined {
  if (trouble === undefined) return undefined;
  const { since, failures, reason } = trouble;
  return `since ${fromNow(since, nowMs)}, ${counted(failures, 'failure')}: ${printableReason(reason)}`;
}

function lastText({ last }: WatchStatus, nowMs: number): string | undefined {
  if (last === undefined) return undefined;
  const changes =
    last.isBaseline && last.enters === 0 ? 'the first' : `${count(last.enters)} in, ${count(last.exits)} out`;
  const jobs = last.told.jobs === 0 ? '' : `, told to ${counted(last.told.jobs, 'job')}`;
  return `${fromNow(last.at, nowMs)}, ${changes}${jobs}, took ${duration(last.durationMs)}`;
}

function missedText({ missed }: WatchStatus): string | undefined {
  if (missed === undefined) return undefined;
  return `what changed from ${missed.from.slice(0, 19)} to ${missed.to.slice(0, 19)} UTC, because the snapshot was lost`;
}

function awayText({ last }: WatchStatus): string | undefined {
  const jobs = last?.told.absent ?? [];
  if (jobs.length === 0) return undefined;
  return `${jobs.join(', ')}: not running, and told what was missed in the first round after ${jobs.length === 1 ? 'it runs' : 'they run'} again`;
}

function lostText({ jobId, from, to }: MissedRounds): string {
  return `${jobId} was not told what changed from ${from.slice(0, 19)} to ${to.slice(0, 19)} UTC, and cannot be any more. With its endpoint's list: triggers reconcile ${jobId} --they-have <file>`;
}

function notToldText({ last }: WatchStatus): string | undefined {
  const jobs = last?.told.unreadable ?? [];
  return jobs.length === 0 ? undefined : `encrypted with a key that the worker does not have: ${jobs.join(', ')}`;
}
