import { setTimeout } from 'node:timers/promises';
import { NoWorker } from '../client/errors.ts';
import type { JobClient, JobStatus } from '../client/job-client.ts';
import type { WatchSummary } from '../client/watches.ts';
import { hasStopped } from '../domain/job-state.ts';
import { printable } from '../domain/text.ts';
import { watchRows } from '../domain/watch-rows.ts';
import { field, fromNow, sentences, withRemedies } from './text.ts';
import { rowLines, statusLine, statusLines } from './render-jobs.ts';
import { type Paint, plain, type Terminal } from './terminal.ts';

const REFRESH_MS = 1_000;

/**
 * Refreshes a job's status every second until it has ended or `signal` is aborted. For a person it redraws; in a pipe it writes a line per change.
 */
export async function watchStatus(
  jobs: Pick<JobClient, 'status'>,
  jobId: string,
  terminal: Terminal,
  options: { readonly json: boolean; readonly signal: AbortSignal; readonly refreshMs?: number },
): Promise<void> {
  let shown = '';
  for (;;) {
    const status = await answerOf(jobs, jobId, terminal);
    if (options.signal.aborted) return;
    if (status !== undefined) {
      const text = options.json ? JSON.stringify(status) : statusLine(status);
      if (!options.json && terminal.interactive)
        terminal.redraw(statusLines(status, { nowMs: Date.now(), ...terminal }));
      else if (text !== shown) terminal.out(text);
      shown = text;
      if (hasStopped(status.state)) return;
    }
    if (await isAbortedWithin(options.refreshMs ?? REFRESH_MS, options.signal)) return;
  }
}

/** A worker's absence does not end the watching. */
async function answerOf(
  jobs: Pick<JobClient, 'status'>,
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

/** One watch for people, at most `columns` wide. */
export function watchLines(
  { audience, status, unreadable }: WatchSummary,
  { nowMs, columns = 80, paint = plain }: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const title = `${paint('bold', printable(audience.slug))} (${printable(audience.name)})`;
  if (unreadable !== undefined) return [title, ...field('State', paint('red', printable(unreadable)), columns)];
  if (status === undefined)
    return [title, ...field('State', paint('red', 'no worker answers; start one with: triggers worker'), columns)];
  const rows = watchRows(status, (at) => fromNow(at, nowMs), `triggers watch ${audience.slug} --accept`);
  return [title, ...field('Id', audience.id, columns), ...rowLines(rows, { columns, paint })];
}
