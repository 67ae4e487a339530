import type { RunTrigger } from '../../domain/trigger-run.ts';
import { randomUUID } from 'node:crypto';
import { JobFull } from '../errors.ts';
import { GRPC, grpcCode, isTransient } from '../server-errors.ts';
import { type RetryPolicy, withRetries, sleep } from './with-retries.ts';

// The server terminates a run at 50 MiB, and refuses signals to a run that has had 10,000. A job with a worker continues as new long before
// either; one without a worker must not be pushed to death.
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;
const LOOK_EVERY_SIGNALS = 256;
const FULL_BYTES = 16 * 1024 * 1024;
const FULL_EVENTS = 9_000;

/** Most bytes of JSON in one signal. */
export const SIGNAL_BYTES = 64 * 1024;
/** Most bytes of profiles that are held for one signal. */
export const MOST_HELD_BYTES = 1024 * 1024;

/** What a trigger, or several, take. */
export interface SignalSize {
  /** Of JSON. */
  readonly bytes: number;
  /** How many of these may be held instead. */
  readonly profileBytes: number;
}

const LOOK_AGAIN_MS = 500;

/** Knows when the size of a job's history has to be checked before it is signalled more: at first, and then every few hundred signals. */
export class HistoryGauge {
  #bytesSinceLook = Infinity;
  #signalsSinceLook = 0;

  get mustLook(): boolean {
    return this.#bytesSinceLook >= LOOK_EVERY_BYTES || this.#signalsSinceLook >= LOOK_EVERY_SIGNALS;
  }

  signalled(bytes: number): void {
    this.#bytesSinceLook += bytes;
    this.#signalsSinceLook += 1;
  }

  /** Takes the size of the job's current run; returns true when there is room for more. */
  sees({ bytes, events }: { readonly bytes: number; readonly events: number }): boolean {
    if (bytes > FULL_BYTES || events > FULL_EVENTS) return false;
    this.#bytesSinceLook = 0;
    this.#signalsSinceLook = 0;
    return true;
  }
}

/** What is needed of Temporal to signal one job. */
export interface JobSignals {
  /**
   * Signals a batch. A repeat with the same `requestId` changes nothing, so that it is safe to ask again after a lost answer.
   *
   * @param isHeld whether its profiles are held, rather than signalled.
   * @param withinMs the longest that it may take.
   */
  signal(triggers: readonly RunTrigger[], requestId: string, isHeld: boolean, withinMs: number): Promise<void>;
  /** Starts the holder of a batch's profiles. Rejects when the job is not running. */
  hold(triggers: readonly RunTrigger[], requestId: string, withinMs: number): Promise<void>;
  /** Lets that holder end. */
  release(requestId: string): Promise<void>;
  /** The size of the job's current run. Rejects when the job is not running. */
  history(withinMs: number): Promise<{ readonly bytes: number; readonly events: number }>;
}

/** Why a batch was not sent, as far as is known. */
export interface NotSignalled {
  readonly cause: unknown;
  /** It may have been accepted all the same: the server's answer was lost. */
  readonly isUnconfirmed: boolean;
  /** True: the server takes smaller ones. From now on, `fits` knows that. */
  readonly isTooLarge?: true;
}

/** Signals one job, and waits while the server is in trouble or the job's history is near its limit. */
export class SignalSender {
  readonly #jobId: string;
  readonly #signals: JobSignals;
  readonly #gauge: HistoryGauge;
  readonly #patienceMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onWait: (waitingFor: 'server' | 'history') => void;
  #holds = true;

  /** @param gauge shared by all who signal this job, so that none has to check what another has just seen. */
  constructor(
    jobId: string,
    signals: JobSignals,
    options: {
      readonly gauge: HistoryGauge;
      /** Longest wait for one signal to be accepted, in ms. */
      readonly patienceMs: number;
      /** Aborting it ends every wait. */
      readonly signal?: AbortSignal | undefined;
      /** Called before each wait. */
      readonly onWait?: (waitingFor: 'server' | 'history') => void;
    },
  ) {
    this.#jobId = jobId;
    this.#signals = signals;
    this.#gauge = options.gauge;
    this.#patienceMs = options.patienceMs;
    this.#signal = options.signal;
    this.#onWait = options.onWait ?? (() => undefined);
  }

  /** Whether so much goes into one signal: as it is, or with the profiles held. */
  fits({ bytes, profileBytes }: SignalSize): boolean {
    if (bytes <= SIGNAL_BYTES) return true;
    return this.#holds && profileBytes <= MOST_HELD_BYTES && bytes - profileBytes <= SIGNAL_BYTES;
  }

  /** Never rejects; undefined once the job has accepted the batch. */
  async send(batch: readonly RunTrigger[], { bytes, profileBytes }: SignalSize): Promise<NotSignalled | undefined> {
    const requestId = randomUUID();
    const isHeld = bytes > SIGNAL_BYTES && profileBytes > 0;
    let isUnconfirmed = false;
    try {
      if (this.#gauge.mustLook) await this.#untilThereIsRoom();
      if (isHeld && !(await this.#isHeld(batch, requestId)))
        return { cause: undefined, isUnconfirmed, isTooLarge: true };
      await this.#untilAccepted(
        (withinMs) => this.#signals.signal(batch, requestId, isHeld, withinMs),
        () => (isUnconfirmed = true),
      );
    } catch (cause) {
      // Best effort: the job looks for those that nobody let go, as long as it runs.
      if (isHeld && !isUnconfirmed) await this.#signals.release(requestId).catch(() => undefined);
      return { cause, isUnconfirmed };
    }
    this.#gauge.signalled(isHeld ? bytes - profileBytes : bytes);
    return undefined;
  }

  /** Once they are held; false where the server takes no payload that is so large. */
  async #isHeld(batch: readonly RunTrigger[], requestId: string): Promise<boolean> {
    try {
      const deadlineMs = performance.now() + this.#patienceMs;
      await withRetries((withinMs) => this.#signals.hold(batch, requestId, withinMs), this.#patience(deadlineMs));
    } catch (error) {
      if (grpcCode(error) !== GRPC.INVALID_ARGUMENT) throw error;
      this.#holds = false;
    }
    return this.#holds;
  }

  async #untilThereIsRoom(): Promise<void> {
    const deadlineMs = performance.now() + this.#patienceMs;
    const look = () => withRetries((withinMs) => this.#signals.history(withinMs), this.#patience(deadlineMs));
    while (!this.#gauge.sees(await look())) {
      if (performance.now() > deadlineMs) throw new JobFull(this.#jobId);
      this.#onWait('history');
      await sleep(LOOK_AGAIN_MS, this.#signal);
    }
  }

  async #untilAccepted(signal: (withinMs: number) => Promise<void>, onDoubt: () => void): Promise<void> {
    const sending = withRetries(signal, {
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
      throw grpcCode(error) === GRPC.INVALID_ARGUMENT ? new JobFull(this.#jobId, { cause: error }) : error;
    });
  }

  #patience(deadlineMs: number): RetryPolicy {
    return { deadlineMs, signal: this.#signal, onPause: () => this.#onWait('server') };
  }
}
