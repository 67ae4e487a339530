import type { WorkerPart } from './worker-health.ts';
import { setTimeout } from 'node:timers/promises';
import { SourceError } from '../activities/audience-source.ts';
import { SourceUnavailable } from '../sources/source.ts';
import type { RaisedAlert } from '../contract/alert.ts';
import { instantOf } from '../domain/instant.ts';
import { jobIdOf } from '../domain/names.ts';

/** The things that a worker needs in order to do its work. */
export interface ReadinessOptions {
  readonly isPolling: () => boolean;
  /** Why the worker cannot work with Temporal; undefined when it can. Never rejects. */
  readonly temporalProblem: () => Promise<string | undefined>;
  /** Rejects when the audience source does not answer. */
  readonly sourceAnswers: () => Promise<void>;
  /** Why the configuration, as it is now, cannot be used; undefined when it can. */
  readonly configProblem: () => string | undefined;
  /** Which jobs wait for a payload key that is not here; undefined when none does. */
  readonly payloadKeyProblem: () => string | undefined;
  /** Why the delivery log cannot be used; undefined when it can, or when there is none. Never rejects. */
  readonly logProblem?: () => Promise<string | undefined>;
}

/** How long, in ms, an answer of Temporal or of the source is used again, so that frequent requests cost them nothing. */
const KEPT_MS = 5_000;
/** Longest wait, in ms, for the source or the delivery log, and for Temporal, which gives up a moment earlier by itself. */
const SOURCE_MS = 3_000;
const TEMPORAL_MS = 2_500;

/** Without these a worker cannot do its work; without a delivery log it can. */
const IN_THE_WAY = ['polling', 'temporal', 'source', 'configuration', 'payloadKeys'] as const;

/**
 * Whether a worker can do its work, for `/readyz`: it polls, Temporal and the audience source answer, and its configuration can be used. Its answer
 * ends no process: a worker that waits for something missing would wait just the same after a restart.
 */
export class Readiness {
  #state: 'starting' | 'running' | 'ending' = 'starting';
  #checks: Partial<Record<WorkerPart, () => Promise<string | undefined>>> = {};

  /** From now on the worker works with these. */
  begin(options: ReadinessOptions): void {
    const { isPolling, temporalProblem, sourceAnswers, configProblem, payloadKeyProblem } = options;
    const { logProblem = () => Promise.resolve(undefined) } = options;
    const source = async (): Promise<string | undefined> => {
      try {
        await sourceAnswers();
        return undefined;
      } catch (error) {
        return `The audience source does not answer.${shownReason(error)}`;
      }
    };
    this.#state = 'running';
    this.#checks = {
      polling: () => Promise.resolve(isPolling() ? undefined : 'The worker does not ask Temporal for work.'),
      temporal: keptAnswer(temporalProblem, TEMPORAL_MS, 'Temporal does not answer.'),
      source: keptAnswer(source, SOURCE_MS, `The audience source has not answered within ${SOURCE_MS / 1000} s.`),
      configuration: () => Promise.resolve(configProblem()),
      payloadKeys: () => Promise.resolve(payloadKeyProblem()),
      deliveryLog: keptAnswer(logProblem, SOURCE_MS, `The delivery log has not answered within ${SOURCE_MS / 1000} s.`),
    };
  }

  /** From now on it accepts no more work. */
  end(): void {
    this.#state = 'ending';
  }

  /** All problems at the moment, in words; undefined when there are none. Resolves within some seconds. */
  async problem(): Promise<string | undefined> {
    if (this.#state === 'starting') return 'The worker is being started.';
    if (this.#state === 'ending') return 'The worker is being ended.';
    return Object.values(await this.problems(IN_THE_WAY)).join(' ') || undefined;
  }

  /** The problems with these parts, in words. Resolves within some seconds. */
  async problems(parts: readonly WorkerPart[]): Promise<Partial<Record<WorkerPart, string>>> {
    const found = await Promise.all(parts.map(async (part) => [part, await this.#checks[part]?.()] as const));
    return Object.fromEntries(found.filter(([, problem]) => problem !== undefined));
  }
}

/** Shows only messages that we wrote to be shown: that of any other error may quote the source. */
function shownReason(error: unknown): string {
  return error instanceof SourceError || error instanceof SourceUnavailable ? ` ${error.message}` : '';
}

/**
 * Asks at most once at a time, and uses each answer for a while.
 * @param late the answer when it takes longer than this many ms.
 */
function keptAnswer(
  ask: () => Promise<string | undefined>,
  longestMs: number,
  late: string,
): () => Promise<string | undefined> {
  let askedAtMs = -Infinity;
  let underWay: Promise<string | undefined> | undefined;
  let kept: { readonly answer: string | undefined; readonly atMs: number } | undefined;
  return async () => {
    const now = performance.now();
    if (kept !== undefined && now - kept.atMs < KEPT_MS) return kept.answer;
    if (underWay === undefined) {
      askedAtMs = now;
      underWay = ask().then((answer) => {
        kept = { answer, atMs: performance.now() };
        underWay = undefined;
        return answer;
      });
    }
    const answered = new AbortController();
    // After that time, it answers at once.
    const waited = setTimeout(Math.max(0, askedAtMs + longestMs - now), late, { signal: answered.signal });
    try {
      return await Promise.race([underWay, waited]);
    } finally {
      answered.abort();
    }
  };
}

interface MissingKeysOptions {
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
  /** Has an alert sent. Absent: there is no alert webhook. */
  readonly raise?: ((alert: RaisedAlert) => Promise<void>) | undefined;
  /** Epoch ms. */
  readonly now?: () => number;
}

const LOG_EVERY_MS = 60_000;
const ALERT_EVERY_MS = 60 * 60_000;
/** The server hands a failed task out again within 10 min: one not seen for longer no longer waits, or another worker has it. */
const FORGET_AFTER_MS = 15 * 60_000;
/** Most jobs that it remembers. */
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
