import { randomUUID } from 'node:crypto';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { EventTrigger } from '../contract/trigger.ts';
import { PushInterrupted } from './errors.ts';
import { HistoryStaysFull, HistoryWatch } from './history-watch.ts';
import { GRPC, grpcCode, isTransient } from './server-errors.ts';

/** How one job is signalled: what a pusher needs of Temporal. */
export interface JobSignals {
  /** Signals a batch. A repeat with the same `requestId` changes nothing, so that it is safe to ask again after a lost answer. */
  signal(triggers: readonly EventTrigger[], requestId: string): Promise<void>;
  /** How much the job's present run holds. Rejects when the job does not run. */
  history(): Promise<{ readonly bytes: number; readonly events: number }>;
}

export interface PushProgress {
  /** Triggers that are with the job. */
  readonly accepted: number;
  readonly signals: number;
  /** Why nothing goes on at the moment: the server does not take it, or the job's history is near its limit (is a worker running?). */
  readonly waitingFor?: 'server' | 'history';
}

export interface PushOptions {
  /** Called after each signal, and when it has to wait. */
  readonly onProgress?: (progress: PushProgress) => void;
  /** Longest wait for one signal to be accepted, in ms; default 5 minutes. Then the push is interrupted. */
  readonly patienceMs?: number;
  /** Aborting it ends the input and every wait: what was accepted by then is said by `PushInterrupted`. */
  readonly signal?: AbortSignal;
}

/** Most bytes of JSON in one signal. */
export const SIGNAL_BYTES = 64 * 1024;

const LOOK_AGAIN_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/** The server went on refusing a signal, as it does when a run has had as many as one may have. */
class SignalsRefused extends Error {
  override readonly name = 'SignalsRefused';
  constructor(cause: unknown) {
    const said = cause instanceof Error ? cause.message : String(cause);
    super(`the server takes no more signals for it (${said}). Is a worker running, so that the job can go on?`, {
      cause,
    });
  }
}

/**
 * Sends triggers to one job in order: one signal in flight, as large as what has come meanwhile, at most 64 KiB. So a
 * lone trigger goes at once and a flood goes in full batches.
 */
export class JobPusher {
  readonly jobId: string;
  accepted = 0;
  signals = 0;
  readonly #signals: JobSignals;
  readonly #onProgress: (progress: PushProgress) => void;
  readonly #patienceMs: number;
  readonly #signal: AbortSignal | undefined;
  #batch: EventTrigger[] = [];
  #batchBytes = 0;
  #sending: Promise<void> | undefined;
  /** What `add` waits for when the batch is full: it has been taken when this is over. */
  #step: Promise<unknown> = Promise.resolve();
  #failure: PushInterrupted | undefined;
  readonly #watch: HistoryWatch;

  /** @param watch shared by all that signal this job, so that none has to look what another has just seen. */
  constructor(jobId: string, signals: JobSignals, options: PushOptions = {}, watch = new HistoryWatch()) {
    this.jobId = jobId;
    this.#signals = signals;
    this.#watch = watch;
    this.#onProgress = options.onProgress ?? (() => undefined);
    this.#patienceMs = options.patienceMs ?? 5 * 60_000;
    this.#signal = options.signal;
  }

  /**
   * Takes a trigger of `bytes` bytes of JSON; resolves as soon as there is room for another.
   * @throws PushInterrupted when an earlier one could not be sent.
   */
  async add(trigger: EventTrigger, bytes: number): Promise<void> {
    while (this.#batch.length > 0 && this.#batchBytes + bytes + 1 > SIGNAL_BYTES && this.#failure === undefined) {
      await this.#step;
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#batch.push(trigger);
    this.#batchBytes += bytes + 1;
    this.#sending ??= this.#drain();
  }

  /**
   * Waits until everything taken is with the job.
   * @throws PushInterrupted
   */
  async finish(): Promise<void> {
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #drain(): Promise<void> {
    // Whatever comes in the same turn belongs into the first batch.
    this.#step = setImmediate();
    await this.#step;
    while (this.#batch.length > 0 && this.#failure === undefined) {
      const batch = this.#batch;
      const bytes = this.#batchBytes;
      this.#batch = [];
      this.#batchBytes = 0;
      const step = this.#send(batch, bytes);
      this.#step = step;
      await step;
    }
    this.#sending = undefined;
  }

  /** Never rejects: a failure is kept for `add` and `finish`. */
  async #send(batch: readonly EventTrigger[], bytes: number): Promise<void> {
    let unconfirmed = 0;
    try {
      if (this.#watch.mustLook) await this.#untilThereIsRoom();
      await this.#untilAccepted(batch, () => (unconfirmed = batch.length));
    } catch (error) {
      this.#failure = new PushInterrupted(this.jobId, this.accepted, unconfirmed, error);
      return;
    }
    this.accepted += batch.length;
    this.signals += 1;
    this.#watch.signalled(bytes);
    this.#report();
  }

  async #untilThereIsRoom(): Promise<void> {
    const deadline = performance.now() + this.#patienceMs;
    while (!this.#watch.sees(await this.#patiently(deadline, () => this.#signals.history()))) {
      if (performance.now() > deadline) throw new HistoryStaysFull();
      this.#report('history');
      await this.#wait(LOOK_AGAIN_MS);
    }
  }

  async #untilAccepted(batch: readonly EventTrigger[], onDoubt: () => void): Promise<void> {
    const requestId = randomUUID();
    const sending = this.#patiently(
      performance.now() + this.#patienceMs,
      () => this.#signals.signal(batch, requestId),
      // INVALID_ARGUMENT is what a run that has had all the signals it may have answers; the next run takes them.
      (error) => {
        if (grpcCode(error) === GRPC.INVALID_ARGUMENT) return true;
        if (!isTransient(error)) return false;
        onDoubt();
        return true;
      },
    );
    await sending.catch((error: unknown) => {
      throw grpcCode(error) === GRPC.INVALID_ARGUMENT ? new SignalsRefused(error) : error;
    });
  }

  async #patiently<T>(deadline: number, ask: () => Promise<T>, mayHelp = isTransient): Promise<T> {
    for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        return await ask();
      } catch (error) {
        if (!mayHelp(error) || performance.now() + pauseMs > deadline) throw error;
        this.#report('server');
        await this.#wait(pauseMs);
      }
    }
  }

  /** Rejects with the signal's reason when it is aborted. */
  async #wait(ms: number): Promise<void> {
    const signal = this.#signal;
    await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
  }

  #report(waitingFor?: 'server' | 'history'): void {
    const { accepted, signals } = this;
    this.#onProgress(waitingFor === undefined ? { accepted, signals } : { accepted, signals, waitingFor });
  }
}
