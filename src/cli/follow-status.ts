import { setTimeout } from 'node:timers/promises';
import { NoWorker } from '../client/calls/errors.ts';
import type { JobClient, JobStatus } from '../client/job-client.ts';
import { hasStopped } from '../domain/job-state.ts';
import { statusLine, statusLines } from './render-jobs.ts';
import type { Terminal } from './terminal.ts';
import { sentences, withRemedies } from './text.ts';

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
