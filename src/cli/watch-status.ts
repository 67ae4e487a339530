import { setTimeout } from 'node:timers/promises';
import type { ExportJobs, JobStatus } from '../client/export-jobs.ts';
import { NoWorker } from '../client/errors.ts';
import { sentences, statusLine, statusLines } from './render.ts';
import type { Terminal } from './terminal.ts';

const REFRESH_MS = 1_000;

/** Shows a job's status anew every second until it has ended or `signal` is aborted: redrawn for a person, a line per change in a pipe. */
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
    if (await pause(options.refreshMs ?? REFRESH_MS, options.signal)) return;
  }
}

/** A worker that is away for a while is no reason to stop watching. */
async function answerOf(
  jobs: Pick<ExportJobs, 'status'>,
  jobId: string,
  terminal: Terminal,
): Promise<JobStatus | undefined> {
  try {
    return await jobs.status(jobId);
  } catch (error) {
    if (!(error instanceof NoWorker)) throw error;
    terminal.err(sentences(error.message, terminal));
    return undefined;
  }
}

/** Waits; returns true when it was aborted meanwhile. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
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
