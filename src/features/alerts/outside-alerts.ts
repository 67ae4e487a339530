import { endedInWords, expiringInWords } from '../../words/losses.ts';
import { createHash } from 'node:crypto';
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { endedSince } from '../../client/jobs/job-list.ts';
import { expiringLetters } from '../../client/jobs/waiting-letters.ts';
import type { AlertKind, RaisedAlert } from '../../contract/alert.ts';
import { instantOf } from '../../domain/instant.ts';
import { alertQueue } from './queue-alerts.ts';

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
  readonly nowMs?: () => number;
}

/**
 * Alerts about what no job can tell: its own end from outside, and the last days of its dead letters. All workers look, since any of them may be away.
 * An alert's id comes from what it is about, so the server lets only the first of them have it sent.
 */
export class OutsideAlerts {
  readonly #options: Required<OutsideAlertsOptions>;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lookedAtMs: number;
  /** The alerts of the last look. */
  #raised: ReadonlySet<string> = new Set();

  constructor(options: OutsideAlertsOptions) {
    this.#options = { nowMs: Date.now, ...options };
    this.#lookedAtMs = this.#options.nowMs() - DAY_MS;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
    void this.look();
  }

  /** Looks once, unless a look is under way. After one that failed, the next does all of it again. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => {
        if (this.#timer) this.#options.log.warn('the look for jobs that were ended from outside failed', { error });
      })
      .finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  /** Does not wait for a look: Temporal may not answer. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    const nowMs = this.#options.nowMs();
    const found = await this.#found(nowMs, this.#lookedAtMs);
    for (const one of found) if (!this.#raised.has(one.id)) await this.#raise(one);
    this.#raised = new Set(found.map(({ id }) => id));
    this.#lookedAtMs = nowMs;
  }

  async #found(nowMs: number, lookedAtMs: number): Promise<RaisedAlert[]> {
    const { client, taskQueue } = this.#options;
    const jobs = await endedSince(client, taskQueue, lookedAtMs - AGAIN_MS);
    const found = jobs.map((job) => happened('job-ended', job.jobId, job.endedAt?.getTime() ?? 0, endedInWords(job)));
    const day = Math.floor(nowMs / DAY_MS);
    if (day === Math.floor(lookedAtMs / DAY_MS)) return found;
    // Once a UTC day, it tells of those that expire before the end of the next one: at least a day before.
    const letters = await expiringLetters(client, nowMs, (day + 2) * DAY_MS, taskQueue);
    for (const one of letters) found.push(happened('dead-letters-expiring', one.job, nowMs, expiringInWords(one), day));
    return found;
  }

  async #raise(raised: RaisedAlert): Promise<void> {
    const { client, taskQueue, isSent, log } = this.#options;
    const { id, job, alert } = raised;
    try {
      if (isSent) await alertQueue(client, taskQueue)(id, [raised], 'REJECT_DUPLICATE');
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
