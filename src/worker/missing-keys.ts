import type { RaisedAlert } from '../contract/alert.ts';
import { instantOf } from '../domain/instant.ts';
import { jobIdOf } from '../domain/names.ts';

export interface MissingKeysOptions {
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
  /** Has an alert sent. Absent: there is no alert webhook. */
  readonly raise?: ((alert: RaisedAlert) => Promise<void>) | undefined;
  /** Epoch ms. */
  readonly now?: () => number;
}

const LOG_EVERY_MS = 60_000;
const ALERT_EVERY_MS = 60 * 60_000;
/** The server hands a failed task out again within 10 min: one that was not seen for longer waits no more, or another worker has it. */
const FORGET_AFTER_MS = 15 * 60_000;
/** Most jobs that are remembered. */
const MOST = 100;

interface Waiting {
  readonly reason: string;
  readonly seenAt: number;
  readonly loggedAt: number;
  readonly alertedAt: number;
}

/** Which jobs wait for a payload key that this worker does not have: for its log, `/readyz` and an alert. */
export class MissingKeys {
  readonly #options: MissingKeysOptions;
  readonly #now: () => number;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: MissingKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** A workflow, or one of its activities, needs a key. @param reason names the key; it never holds one. */
  note(workflowId: string, reason: string): void {
    const jobId = jobIdOf(workflowId);
    const now = this.#now();
    const { loggedAt, alertedAt } = this.#waiting.get(jobId) ?? { loggedAt: -Infinity, alertedAt: -Infinity };
    const isLogged = now - loggedAt >= LOG_EVERY_MS;
    const isAlerted = now - alertedAt >= ALERT_EVERY_MS;
    this.#waiting.delete(jobId);
    this.#waiting.set(jobId, {
      reason,
      seenAt: now,
      loggedAt: isLogged ? now : loggedAt,
      alertedAt: isAlerted ? now : alertedAt,
    });
    for (const oldest of this.#waiting.keys()) if (this.#waiting.size > MOST) this.#waiting.delete(oldest);
    if (isLogged) this.#options.log.warn('a job waits for a payload key', { jobId, reason });
    if (isAlerted) this.#alert(jobId, reason, now);
  }

  /** The jobs that wait, and for which key; undefined when none does. */
  problem(): string | undefined {
    const now = this.#now();
    for (const [jobId, { seenAt }] of this.#waiting) if (now - seenAt > FORGET_AFTER_MS) this.#waiting.delete(jobId);
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const [jobId, { reason }] = first;
    const more = this.#waiting.size === 1 ? '' : ` (and ${this.#waiting.size - 1} more)`;
    return `The job "${jobId}"${more} waits for a payload key. ${reason}`;
  }

  #alert(jobId: string, reason: string, now: number): void {
    const id = `alert-payload-key-${jobId}-${Math.floor(now / ALERT_EVERY_MS)}`;
    const alert = { kind: 'payload-key-missing', state: 'happened', at: instantOf(now), text: reason } as const;
    this.#options.raise?.({ id, job: { id: jobId }, alert }).catch((error: unknown) => {
      this.#options.log.warn('an alert could not be queued', { jobId, error });
    });
  }
}
