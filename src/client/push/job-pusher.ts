import { setImmediate } from 'node:timers/promises';
import { bytesAfter, RUN_FRAME_BYTES } from '../../domain/trigger-run.ts';
import { PushInterrupted } from '../errors.ts';
import { HistoryGauge, type JobSignals, PatientSignals, type SignalSize } from './patient-signals.ts';
import { PATIENCE_MS } from './patiently.ts';
import type { CheckedTrigger } from './push.ts';

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

/** How many bytes of JSON several pushers may hold together, beyond a signal each, for jobs that take nothing at the moment. */
export interface PushRoom {
  leftBytes: number;
}

interface Batch {
  readonly triggers: CheckedTrigger[];
  bytes: number;
  profileBytes: number;
}

const GATHER_MS = 100;

const NO_TRIGGERS: Readonly<Batch> = { triggers: [], bytes: RUN_FRAME_BYTES, profileBytes: 0 };

/** The size of a batch with a trigger more. */
function sizeWith({ triggers, bytes, profileBytes }: Readonly<Batch>, one: CheckedTrigger): SignalSize {
  return {
    bytes: bytes + bytesAfter(triggers.at(-1)?.trigger, one.trigger, one.bytes) + 1,
    profileBytes: profileBytes + one.profileBytes,
  };
}

/**
 * Sends triggers to one job in order, with one signal in flight at a time; the next carries all that has come meanwhile, at most 64 KiB, and
 * beside it profiles of a MiB. So a lone trigger is sent at once, a flood in full signals, and a steady stream as one signal every `gatherMs`.
 */
export class JobPusher {
  readonly jobId: string;
  accepted = 0;
  signals = 0;
  /** What it had been given and the job has not accepted, in order, once that has failed. */
  readonly left: CheckedTrigger[] = [];
  readonly #signals: PatientSignals;
  readonly #onProgress: (progress: PushProgress) => void;
  readonly #gatherMs: number;
  /** What has not been sent yet, a signal each; all but the last are full. */
  #batches: Batch[] = [];
  readonly #room: PushRoom;
  #sending: Promise<void> | undefined;
  /** Wakes whoever waits in `add`, when a batch was taken or sent, or the job is waited for. */
  #wake: () => void = () => undefined;
  /** The job takes nothing at the moment, so its input is not to be held up for it. */
  #isWaitedFor = false;
  #failure: PushInterrupted | undefined;
  #signalledAt = -Infinity;
  /** The first batch need not wait for more, because nothing more fits. */
  #isComplete = false;
  /** Nothing more will come. */
  #isFinished = false;
  /** Ends the wait for more. */
  #goOn: (() => void) | undefined;

  /**
   * @param gauge shared by all who signal this job, so that none has to check what another has just seen.
   * @param room shared by all who get their triggers from one input, so that the others go on while one waits; by default there is none.
   */
  constructor(
    jobId: string,
    signals: JobSignals,
    options: PushOptions = {},
    { gauge = new HistoryGauge(), room = { leftBytes: 0 } }: { gauge?: HistoryGauge; room?: PushRoom } = {},
  ) {
    this.jobId = jobId;
    this.#signals = new PatientSignals(jobId, signals, {
      gauge,
      patienceMs: options.patienceMs ?? PATIENCE_MS,
      signal: options.signal,
      onWait: (waitingFor) => this.#report(waitingFor),
    });
    this.#room = room;
    this.#onProgress = options.onProgress ?? (() => undefined);
    this.#gatherMs = options.gatherMs ?? GATHER_MS;
  }

  /**
   * Takes a trigger; resolves as soon as there is room for another.
   * @throws PushInterrupted when an earlier one could not be sent.
   */
  async add(one: CheckedTrigger): Promise<void> {
    while (!this.#fits(one) && this.#failure === undefined) {
      this.#complete();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#put(one) > 1) this.#complete();
    this.#sending ??= this.#drain();
  }

  /** Puts a trigger into the last batch, or behind that. Returns how many there are. */
  #put(one: CheckedTrigger): number {
    const last = this.#batches.at(-1);
    const size = sizeWith(last ?? NO_TRIGGERS, one);
    if (last !== undefined && this.#signals.fits(size)) {
      last.triggers.push(one);
      this.#room.leftBytes -= size.bytes - last.bytes;
      Object.assign(last, size);
    } else {
      const alone = sizeWith(NO_TRIGGERS, one);
      this.#batches.push({ triggers: [one], ...alone });
      this.#room.leftBytes -= alone.bytes;
    }
    return this.#batches.length;
  }

  /** A signal may always be filled; more only while the job is waited for, or has not caught up since, and there is room. */
  #fits(one: CheckedTrigger): boolean {
    const [first, second] = this.#batches;
    if (first === undefined) return true;
    if (second === undefined && this.#signals.fits(sizeWith(first, one))) return true;
    return (this.#isWaitedFor || second !== undefined) && this.#room.leftBytes > one.bytes;
  }

  /**
   * Waits until the job has accepted everything taken. Nothing can be added afterwards.
   * @throws PushInterrupted
   */
  async finish(): Promise<void> {
    this.#isFinished = true;
    this.#goOn?.();
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #complete(): void {
    this.#isComplete = true;
    this.#goOn?.();
  }

  async #drain(): Promise<void> {
    while (this.#batches.length > 0 && this.#failure === undefined) {
      await this.#gather();
      const batch = this.#take();
      if (batch === undefined) break;
      this.#isComplete = this.#batches.length > 1;
      this.#wake();
      await this.#send(batch);
      this.#wake();
    }
    // What is left after a failure is sent by nobody, and must not take the others' room.
    for (let batch = this.#take(); batch !== undefined; batch = this.#take()) this.left.push(...batch.triggers);
    this.#sending = undefined;
  }

  #take(): Batch | undefined {
    const batch = this.#batches.shift();
    this.#room.leftBytes += batch?.bytes ?? 0;
    return batch;
  }

  async #gather(): Promise<void> {
    // What is added in the same turn of the event loop belongs in the first batch.
    await setImmediate();
    const waitMs = this.#signalledAt + this.#gatherMs - performance.now();
    if (waitMs <= 0 || this.#isComplete || this.#isFinished) return;
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
  async #send(batch: Batch): Promise<void> {
    const { triggers } = batch;
    const failure = await this.#signals.send(
      triggers.map(({ trigger }) => trigger),
      batch,
    );
    if (failure?.isTooLarge === true) return this.#divide(batch);
    if (failure !== undefined) {
      const unconfirmed = failure.isUnconfirmed ? triggers.length : 0;
      this.left.push(...triggers);
      this.#failure = new PushInterrupted(this.jobId, this.accepted, unconfirmed, failure.cause);
      return;
    }
    this.accepted += triggers.length;
    this.signals += 1;
    this.#isWaitedFor = false;
    this.#signalledAt = performance.now();
    this.#report();
  }

  /** Puts everything into smaller batches, in its order. */
  #divide(batch: Batch): void {
    const all = [batch, ...this.#batches];
    while (this.#take() !== undefined);
    for (const { triggers } of all) for (const one of triggers) this.#put(one);
  }

  #report(waitingFor?: 'server' | 'history'): void {
    const { accepted, signals } = this;
    this.#onProgress(waitingFor === undefined ? { accepted, signals } : { accepted, signals, waitingFor });
    if (waitingFor === undefined) return;
    this.#isWaitedFor = true;
    this.#wake();
  }
}
