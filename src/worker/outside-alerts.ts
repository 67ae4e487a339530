import { createHash } from 'node:crypto';
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { endedSince } from '../client/jobs/job-list.ts';
import { expiringLetters } from '../client/jobs/waiting-letters.ts';
import { TemporalSideWorkflows } from '../client/side-workflows.ts';
import type { AlertKind, RaisedAlert } from '../contract/alert.ts';
import { endedInWords, expiringInWords } from '../domain/health.ts';
import { instantOf } from '../domain/instant.ts';

const LOOK_EVERY_MS = 60_000;
/** How much of the time before the last look, in ms, is looked at again: lists and clocks may lag. */
const AGAIN_MS = 5 * 60_000;
/** After a day an alert is no longer news. */
const DAY_MS = 24 * 60 * 60_000;

export interface OutsideAlertsOptions {
  readonly client: Client;
  readonly taskQueue: string;
  /** Whether there is an alert webhook. If not, each worker logs them. */
  readonly isSent: boolean;
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
  /** Epoch ms. */
  readonly now?: () => number;
}

/**
 * Alerts about what no job can tell: its own end from outside, and the last days of its dead letters. All workers look, since any of them may be away.
 * An alert's id comes from what it is about, so the server lets only the first of them have it sent.
 */
export class OutsideAlerts {
  readonly #options: OutsideAlertsOptions;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;
  #isClosed = false;
  #lookedAtMs: number;
  /** The alerts of the last look. */
  #raised: ReadonlySet<string> = new Set();

  constructor(options: OutsideAlertsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#lookedAtMs = this.#now() - DAY_MS;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
    void this.look();
  }

  /** Looks once, unless a look is under way. After one that failed, the next does all of it again. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#options.log.warn('the look for jobs that were ended from outside failed', { error });
      })
      .finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  /** Does not wait for a look: Temporal may not answer. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const nowMs = this.#now();
    const found = [...(await this.#ends()), ...(await this.#lastDays(nowMs))];
    for (const one of found) if (!this.#raised.has(one.id)) await this.#raise(one);
    this.#raised = new Set(found.map(({ id }) => id));
    this.#lookedAtMs = nowMs;
  }

  async #ends(): Promise<RaisedAlert[]> {
    const { client, taskQueue } = this.#options;
    const ended = await endedSince(client, taskQueue, this.#lookedAtMs - AGAIN_MS);
    return ended.map((job) => happened('job-ended', job.jobId, job.endedAt?.getTime() ?? 0, endedInWords(job)));
  }

  /** Tells once a UTC day of those that expire before the end of the next one: at least a day before. */
  async #lastDays(nowMs: number): Promise<RaisedAlert[]> {
    const { client, taskQueue } = this.#options;
    const day = Math.floor(nowMs / DAY_MS);
    if (day === Math.floor(this.#lookedAtMs / DAY_MS)) return [];
    const expiring = await expiringLetters(client, nowMs, (day + 2) * DAY_MS, taskQueue);
    return expiring.map((one) => happened('dead-letters-expiring', one.job, nowMs, expiringInWords(one), day));
  }

  async #raise(raised: RaisedAlert): Promise<void> {
    const { client, taskQueue, isSent, log } = this.#options;
    const { id, job, alert } = raised;
    try {
      if (isSent) await new TemporalSideWorkflows(client, taskQueue).queueAlerts(id, [raised], 'REJECT_DUPLICATE');
      log.warn('alert', { jobId: job?.id, alert: alert.kind, state: alert.state, text: alert.text });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error; // Another worker was first.
    }
  }
}

/** @param which tells it from others of its kind about the same job. */
function happened(kind: AlertKind, job: string | undefined, atMs: number, text: string, which = atMs): RaisedAlert {
  // A program that reaches Temporal may have given the job any text as its id.
  const about = createHash('sha256').update(`${which} ${job}`).digest('hex').slice(0, 32);
  const alert = { kind, state: 'happened', at: instantOf(atMs), text } as const;
  return { id: `alert-${kind}-${about}`, ...(job === undefined ? {} : { job: { id: job } }), alert };
}
