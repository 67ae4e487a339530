import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { EventTrigger } from '../contract/trigger.ts';
import { JobFull, PushInterrupted } from './errors.ts';
import { HistoryWatch } from './history-watch.ts';
import { type Patience, patiently, PATIENCE_MS, pause } from './patiently.ts';
import { GRPC, grpcCode, isTransient } from './server-errors.ts';

/** What a pusher needs of Temporal to signal one job. */
export interface JobSignals {
  /** Signals a batch. A repeat with the same `requestId` changes nothing, so that it is safe to ask again after a lost answer. */
  signal(triggers: readonly EventTrigger[], requestId: string): Promise<void>;
  /** The size of the job's current run. Rejects when the job is not running. */
  history(): Promise<{ readonly bytes: number; readonly events: number }>;
}

export interface PushProgress {
  /** Triggers that the job has accepted. */
  readonly accepted: number;
  readonly signals: number;
  /** Why nothing is being sent at the moment: the server does not accept it, or the job's history is near its limit (is a worker running?). */
  readonly waitingFor?: 'server' | 'history';
}

export interface PushOptions {
  /** Called after each signal, and when one has to wait. */
  readonly onProgress?: (progress: PushProgress) => void;
  /** Longest wait for one signal to be accepted, in ms; default 5 minutes. Then the push is interrupted. */
  readonly patienceMs?: number;
  /**
   * How long, in ms, triggers are gathered after the previous signal, unless a signal is full earlier; default 100. So a stream of any pace
   * costs a job at most ten signals a second that are not full, and a trigger that comes after a pause is sent at once.
   */
  readonly gatherMs?: number;
  /** Aborting it ends the input and every wait; `PushInterrupted` then says what was accepted. */
  readonly signal?: AbortSignal;
}

/** Most bytes of JSON in one signal. */
export const SIGNAL_BYTES = 64 * 1024;

const LOOK_AGAIN_MS = 500;
const GATHER_MS = 100;

/**
 * Sends triggers to one job in order, with one signal in flight at a time; the next carries all that has come meanwhile, at most 64 KiB. So
 * a lone trigger is sent at once, a flood in full signals, and a steady stream as one signal every `gatherMs`.
 */
export class JobPusher {
  readonly jobId: string;
  accepted = 0;
  signals = 0;
  readonly #signals: JobSignals;
  readonly #onProgress: (progress: PushProgress) => void;
  readonly #patienceMs: number;
  readonly #gatherMs: number;
  readonly #signal: AbortSignal | undefined;
  #batch: EventTrigger[] = [];
  #batchBytes = 0;
  #sending: Promise<void> | undefined;
  /** What `add` waits for when the batch is full: resolves when the batch has been taken. */
  #step: Promise<unknown> = Promise.resolve();
  #failure: PushInterrupted | undefined;
  #signalledAt = -Infinity;
  /** The batch need not wait for more, because nothing more fits or nothing more will come. */
  #isComplete = false;
  /** Ends the wait for more. */
  #goOn: (() => void) | undefined;
  readonly #watch: HistoryWatch;

  /** @param watch shared by all who signal this job, so that none has to check what another has just seen. */
  constructor(jobId: string, signals: JobSignals, options: PushOptions = {}, watch = new HistoryWatch()) {
    this.jobId = jobId;
    this.#signals = signals;
    this.#watch = watch;
    this.#onProgress = options.onProgress ?? (() => undefined);
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#gatherMs = options.gatherMs ?? GATHER_MS;
    this.#signal = options.signal;
  }

  /**
   * Takes a trigger whose JSON has `bytes` bytes; resolves as soon as there is room for another.
   * @throws PushInterrupted when an earlier one could not be sent.
   */
  async add(trigger: EventTrigger, bytes: number): Promise<void> {
    while (this.#batch.length > 0 && this.#batchBytes + bytes + 1 > SIGNAL_BYTES && this.#failure === undefined) {
      this.#complete();
      await this.#step;
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.#batch.push(trigger);
    this.#batchBytes += bytes + 1;
    this.#sending ??= this.#drain();
  }

  /**
   * Waits until the job has accepted everything taken. Nothing can be added afterwards.
   * @throws PushInterrupted
   */
  async finish(): Promise<void> {
    this.#complete();
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #complete(): void {
    this.#isComplete = true;
    this.#goOn?.();
  }

  async #drain(): Promise<void> {
    while (this.#batch.length > 0 && this.#failure === undefined) {
      this.#step = this.#gather();
      await this.#step;
      const batch = this.#batch;
      const bytes = this.#batchBytes;
      this.#batch = [];
      this.#batchBytes = 0;
      this.#isComplete = false;
      const step = this.#send(batch, bytes);
      this.#step = step;
      await step;
    }
    this.#sending = undefined;
  }

  async #gather(): Promise<void> {
    // What is added in the same turn of the event loop belongs in the first batch.
    await setImmediate();
    const waitMs = this.#signalledAt + this.#gatherMs - performance.now();
    if (waitMs <= 0 || this.#isComplete) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#goOn = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#goOn = undefined;
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
    this.#signalledAt = performance.now();
    this.#watch.signalled(bytes);
    this.#report();
  }

  async #untilThereIsRoom(): Promise<void> {
    const deadlineMs = performance.now() + this.#patienceMs;
    const look = () => patiently(() => this.#signals.history(), this.#patience(deadlineMs));
    while (!this.#watch.sees(await look())) {
      if (performance.now() > deadlineMs) throw new JobFull(this.jobId);
      this.#report('history');
      await pause(LOOK_AGAIN_MS, this.#signal);
    }
  }

  async #untilAccepted(batch: readonly EventTrigger[], onDoubt: () => void): Promise<void> {
    const requestId = randomUUID();
    const sending = patiently(() => this.#signals.signal(batch, requestId), {
      ...this.#patience(performance.now() + this.#patienceMs),
      // A run that has had all the signals it may have answers INVALID_ARGUMENT; the next run accepts them.
      mayHelp: (error) => {
        if (grpcCode(error) === GRPC.INVALID_ARGUMENT) return true;
        if (!isTransient(error)) return false;
        onDoubt();
        return true;
      },
    });
    await sending.catch((error: unknown) => {
      throw grpcCode(error) === GRPC.INVALID_ARGUMENT ? new JobFull(this.jobId, { cause: error }) : error;
    });
  }

  #patience(deadlineMs: number): Patience {
    return { deadlineMs, signal: this.#signal, onPause: () => this.#report('server') };
  }

  #report(waitingFor?: 'server' | 'history'): void {
    const { accepted, signals } = this;
    this.#onProgress(waitingFor === undefined ? { accepted, signals } : { accepted, signals, waitingFor });
  }
}
