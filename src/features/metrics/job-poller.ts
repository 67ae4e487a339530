import type { Client } from '@temporalio/client';
import { isStopped } from '../../client/calls/executions.ts';
import { jobRuns } from '../../client/jobs/job-list.ts';
import { quickStatus } from '../../client/jobs/job-service.ts';
import { Watches } from '../watch/watches.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import type { WatchPhase } from '../watch/sandbox/watch.ts';

export interface JobPollerOptions {
  readonly client: Client;
  readonly taskQueue: string;
  /** Most jobs that are queried. */
  readonly most: number;
  /** Gets their answers, and how many did not answer. */
  readonly polled: (statuses: readonly JobStatus[], unanswered: number) => void;
  /** Gets the phases of watches; undefined for one that did not answer. Absent: they are not queried. */
  readonly polledWatches?: (phases: readonly (WatchPhase | undefined)[]) => void;
  /** The time in ms since any moment. Default: a clock that is never set. */
  readonly now?: () => number;
}

/** Shortest time, in ms, from the beginning of one look to the next one. */
const EVERY_MS = 30_000;
/** Longest time, in ms, of a look with jobs that do not answer: the others are queried next time. */
const LOOK_MS = 20_000;

/**
 * Queries the running jobs of a task queue for facts that only they have: how many triggers are waiting and since when, and the state of
 * their endpoints. Queries the watches, too. It takes one list and a query for each job, one after another; queries leave nothing in a history.
 * It does this only for a scrape, or for a check whether the worker is ready.
 */
export class JobPoller {
  readonly #options: JobPollerOptions;
  readonly #now: () => number;
  #beganAtMs = -Infinity;
  #look: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: JobPollerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Begins a look, unless one is under way or the last one began a moment ago. Resolves when none is under way. */
  async look(): Promise<void> {
    const now = this.#now();
    if (this.#isClosed || this.#look !== undefined || now - this.#beganAtMs < EVERY_MS) return this.#look;
    this.#beganAtMs = now;
    this.#look = this.#ask(now + LOOK_MS).finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  /** Queries no further job, and waits for the open query: a worker that shuts down must not wait for a whole look. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#look;
  }

  async #ask(endsAtMs: number): Promise<void> {
    const { client, most, polled } = this.#options;
    const statuses: JobStatus[] = [];
    let unanswered = 0;
    try {
      for (const [index, workflowId] of (await this.#running()).entries()) {
        const isAsked = index < most && this.#now() < endsAtMs && !this.#isClosed;
        const status = isAsked ? await quickStatus(client, workflowId) : undefined;
        if (status === undefined) unanswered++;
        else statuses.push(status);
      }
    } catch {
      // The server does not answer. Old answers must not be shown as if they were current.
    }
    polled(statuses, unanswered);
    await this.#askWatches();
  }

  async #askWatches(): Promise<void> {
    const { client, taskQueue, polledWatches } = this.#options;
    if (polledWatches === undefined || this.#isClosed) return;
    const watches = await new Watches({ open: () => client, taskQueue }).list().catch(() => []);
    polledWatches(watches.map(({ status }) => status?.state));
  }

  async #running(): Promise<string[]> {
    const { client, taskQueue } = this.#options;
    const ids: string[] = [];
    for await (const run of jobRuns(client, { areRunning: true, taskQueue }))
      if (!isStopped(run)) ids.push(run.workflowId);
    return ids.sort();
  }
}
