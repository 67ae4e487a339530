import { setImmediate } from 'node:timers/promises';
import { type RunTrigger } from '../../domain/trigger-run.ts';
import { bytesAfter, RUN_FRAME_BYTES } from './writing-runs.ts';
import { PushInterrupted } from '../calls/errors.ts';
import { HistoryGauge, type JobSignals, SignalSender, type SignalSize, SIGNAL_BYTES } from './signal-sender.ts';
import { PATIENCE_MS } from '../calls/with-retries.ts';

/** A valid trigger, as it was given, with an `at`. */
export interface CheckedTrigger extends SignalSize {
  readonly trigger: RunTrigger;
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
   * How long, in ms, triggers are gathered after the previous signal, unless a signal is full earlier; default 100. A stream of any pace then costs a job at
   * most ten partly filled signals a second. A trigger after a pause is sent at once.
   */
  readonly gatherMs?: number;
  /** Aborting it ends the input and every wait; `PushInterrupted` then says what was accepted. */
  readonly signal?: AbortSignal;
}

/** How many bytes of JSON several pushers may hold together, beyond a signal each, for jobs that accept nothing at the moment. */
export interface PushRoom {
  leftBytes: number;
}

interface Batch {
  readonly triggers: CheckedTrigger[];
  bytes: number;
  profileBytes: number;
}

/** Settings that the pushers of one job, or of one input, share. */
export interface SharedByPushers {
  /** Shared by all that signal this job: one check of its history serves all of them. */
  readonly gauge?: HistoryGauge;
  /** Shared by all that take from one input, so that the others go on while one job accepts nothing. Default: no room. */
  readonly room?: PushRoom;
  /**
   * How long the next signal waits for more, in ms, unless it is full. Default: until `gatherMs` have passed since the signal before.
   * @param bytes that wait for it.
   */
  readonly waitMs?: (bytes: number) => number;
  /** Called when the job accepts nothing more; `left` then has the triggers that it did not accept. */
  readonly onFailure?: (failure: PushInterrupted) => void;
}

const GATHER_MS = 100;

const NO_TRIGGERS: Readonly<Batch> = { triggers: [], bytes: RUN_FRAME_BYTES, profileBytes: 0 };

/** The size of a batch with one more trigger. */
function sizeWith({ triggers, bytes, profileBytes }: Readonly<Batch>, one: CheckedTrigger): SignalSize {
  return {
    bytes: bytes + bytesAfter(triggers.at(-1)?.trigger, one.trigger, one.bytes) + 1,
    profileBytes: profileBytes + one.profileBytes,
  };
}

/**
 * Sends triggers to one job in order, with one signal in flight at a time. The next signal carries all triggers that came meanwhile: at most 64 KiB, and
 * beside it 1 MiB of profiles. A single trigger is sent at once, a flood in full signals, and a steady stream as one signal every `gatherMs`.
 */
export class JobPusher {
  readonly jobId: string;
  accepted = 0;
  signals = 0;
  /** After a failure: the triggers that the job has not accepted, in order. */
  readonly left: CheckedTrigger[] = [];
  readonly #signals: SignalSender;
  readonly #onProgress: (progress: PushProgress) => void;
  readonly #onFailure: ((failure: PushInterrupted) => void) | undefined;
  readonly #waitMs: (bytes: number) => number;
  /** Triggers that have not been sent yet, a signal each; all but the last are full. */
  #batches: Batch[] = [];
  readonly #room: PushRoom;
  #sending: Promise<void> | undefined;
  /** Wakes `add` when a batch was taken or sent, or when the job makes it wait. */
  #wake: () => void = () => undefined;
  /** The job accepts nothing at the moment, and must not hold up its input. */
  #isWaitedFor = false;
  #failure: PushInterrupted | undefined;
  #signalledAt = -Infinity;
  /** Nothing more will come. */
  #isFinished = false;
  /** Ends the wait for more. */
  #goOn: (() => void) | undefined;

  constructor(jobId: string, signals: JobSignals, options: PushOptions = {}, shared: SharedByPushers = {}) {
    const { onProgress = () => undefined, patienceMs = PATIENCE_MS, gatherMs = GATHER_MS, signal } = options;
    this.jobId = jobId;
    this.#signals = new SignalSender(jobId, signals, {
      gauge: shared.gauge ?? new HistoryGauge(),
      patienceMs,
      signal,
      onWait: (waitingFor) => this.#report(waitingFor),
    });
    this.#room = shared.room ?? { leftBytes: 0 };
    this.#onProgress = onProgress;
    this.#onFailure = shared.onFailure;
    this.#waitMs = shared.waitMs ?? (() => this.#signalledAt + gatherMs - performance.now());
  }

  /**
   * Takes a trigger; resolves when there is room for another.
   * @throws PushInterrupted when one could not be sent: then it is in `left`.
   */
  async add(one: CheckedTrigger): Promise<void> {
    this.put(one);
    while (this.#isFull && this.#failure === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Takes a trigger, whether or not there is room. */
  put(one: CheckedTrigger): void {
    if (this.#failure !== undefined) return void this.left.push(one);
    this.#append(one);
    if (!this.#mustWait) this.#goOn?.();
    this.#sending ??= this.#drain();
  }

  /** Puts a trigger into the last batch, or behind that. */
  #append(one: CheckedTrigger): void {
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
  }

  /** One signal may always be filled. More may wait only while the job accepts nothing or has not caught up since, and there is room. */
  get #isFull(): boolean {
    const { length } = this.#batches;
    return length > 1 && !((this.#isWaitedFor || length > 2) && this.#room.leftBytes > 0);
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

  async #drain(): Promise<void> {
    while (this.#batches.length > 0 && this.#failure === undefined) {
      await this.#gather();
      const batch = this.#take();
      if (batch === undefined) break;
      this.#wake();
      await this.#send(batch);
      this.#wake();
    }
    this.#sending = undefined;
  }

  #take(): Batch | undefined {
    const batch = this.#batches.shift();
    this.#room.leftBytes += batch?.bytes ?? 0;
    return batch;
  }

  get #mustWait(): boolean {
    const [first, second] = this.#batches;
    return first !== undefined && second === undefined && !this.#isFinished && this.#waitMs(first.bytes) > 0;
  }

  async #gather(): Promise<void> {
    // Triggers that are added in the same turn of the event loop belong in the first batch.
    await setImmediate();
    if (!this.#mustWait) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#waitMs(this.#batches[0]?.bytes ?? 0));
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
      return this.#fail(batch, new PushInterrupted(this.jobId, this.accepted, unconfirmed, failure.cause));
    }
    this.accepted += triggers.length;
    this.signals += 1;
    this.#isWaitedFor = false;
    this.#signalledAt = performance.now();
    this.#report();
  }

  #fail(batch: Batch, failure: PushInterrupted): void {
    this.#failure = failure;
    // The rest is not sent, and must not use the others' room.
    for (let next: Batch | undefined = batch; next !== undefined; next = this.#take()) this.left.push(...next.triggers);
    this.#onFailure?.(failure);
  }

  /** Divides everything into smaller batches, in its order. */
  #divide(batch: Batch): void {
    const all = [batch, ...this.#batches];
    while (this.#take() !== undefined);
    for (const { triggers } of all) for (const one of triggers) this.#append(one);
  }

  #report(waitingFor?: 'server' | 'history'): void {
    const { accepted, signals } = this;
    this.#onProgress(waitingFor === undefined ? { accepted, signals } : { accepted, signals, waitingFor });
    if (waitingFor === undefined) return;
    this.#isWaitedFor = true;
    this.#wake();
  }
}

/** For how many jobs the fullness of the history and the number of callers are remembered. */
const REMEMBERED = 1_000;
const COALESCE_MS = 10;

/**
 * Signals jobs for many callers at once. Each signal is a write of the job's workflow, and a server manages a few hundred a second. Calls that come while a
 * signal is under way therefore go together in the next one. If several calls were answered together, the next signal waits a moment until as many have
 * called again. A single call is sent at once.
 */
export class GroupedSignals {
  readonly #signalsOf: (jobId: string) => JobSignals;
  readonly #patienceMs: number;
  readonly #gatherMs: number;
  /** By job id, the one used last at the end; at most `REMEMBERED`, plus the busy ones. */
  readonly #jobs = new Map<string, JobGroup>();

  /**
   * @param patienceMs longest wait for a signal to be accepted, in ms.
   * @param gatherMs how long, in ms, a signal waits for as many calls as there were at the one before it.
   */
  constructor(signalsOf: (jobId: string) => JobSignals, patienceMs: number, gatherMs: number = COALESCE_MS) {
    this.#signalsOf = signalsOf;
    this.#patienceMs = patienceMs;
    this.#gatherMs = gatherMs;
  }

  /**
   * Resolves once the job has accepted all of them, in their order, after the triggers of earlier calls.
   * @throws PushInterrupted, which says how many of this call were accepted
   */
  async signal(jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> {
    if (triggers.length > 0) await this.#of(jobId).signal(triggers);
  }

  /** The gauge of a job, for others who signal it. */
  gauge(jobId: string): HistoryGauge {
    return this.#of(jobId).gauge;
  }

  #of(jobId: string): JobGroup {
    const open: OpenForGroup = (onProgress, shared) =>
      new JobPusher(jobId, this.#signalsOf(jobId), { patienceMs: this.#patienceMs, onProgress }, shared);
    const group = this.#jobs.get(jobId) ?? new JobGroup(open, this.#gatherMs);
    this.#jobs.delete(jobId);
    this.#jobs.set(jobId, group);
    for (const [oldest, { isIdle }] of this.#jobs) {
      if (this.#jobs.size <= REMEMBERED) break;
      if (isIdle) this.#jobs.delete(oldest);
    }
    return group;
  }
}

type OpenForGroup = (onProgress: (progress: PushProgress) => void, shared: SharedByPushers) => JobPusher;

/** An open call, until the job has accepted its triggers: from `begin` to before `end` of all given to the pusher. */
interface Call {
  readonly begin: number;
  readonly end: number;
  readonly resolve: () => void;
  readonly reject: (error: PushInterrupted) => void;
}

/** The calls for one job. */
class JobGroup {
  readonly gauge = new HistoryGauge();
  readonly #open: OpenForGroup;
  readonly #gatherMs: number;
  /** Sends for the open calls; undefined without any. */
  #pusher: JobPusher | undefined;
  /** The open calls, in their order. */
  #calls: Call[] = [];
  /** How many triggers the pusher was given. */
  #count = 0;
  /** When a signal was last accepted, and how many calls were open then: most callers call again once they are answered. */
  #lastAtMs = -Infinity;
  #lastCalls = 1;

  constructor(open: OpenForGroup, gatherMs: number) {
    this.#open = open;
    this.#gatherMs = gatherMs;
  }

  get isIdle(): boolean {
    return this.#pusher === undefined;
  }

  async signal(triggers: readonly CheckedTrigger[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const begin = this.#count;
      this.#count += triggers.length;
      this.#calls.push({ begin, end: this.#count, resolve, reject });
      const pusher = (this.#pusher ??= this.#open((progress) => this.#onProgress(progress), {
        gauge: this.gauge,
        waitMs: (bytes) => this.#waitMs(bytes),
        onFailure: (failure) => this.#fail(failure),
      }));
      for (const one of triggers) pusher.put(one);
    });
  }

  #waitMs(bytes: number): number {
    const isEnough = bytes >= SIGNAL_BYTES || this.#calls.length >= this.#lastCalls;
    return isEnough ? 0 : this.#lastAtMs + this.#gatherMs - performance.now();
  }

  #onProgress({ accepted, waitingFor }: PushProgress): void {
    if (waitingFor !== undefined) return;
    this.#lastAtMs = performance.now();
    this.#lastCalls = this.#calls.length;
    const isOpen = this.#calls.findIndex(({ end }) => end > accepted);
    const done = this.#calls.splice(0, isOpen === -1 ? this.#calls.length : isOpen);
    if (this.#calls.length === 0) this.#close();
    for (const { resolve } of done) resolve();
  }

  /** Rejects all open calls: the job or the server accepts nothing, and each later call would wait as long after the one before. */
  #fail({ jobId, accepted, unconfirmed, cause }: PushInterrupted): void {
    const calls = this.#calls;
    this.#calls = [];
    this.#close();
    for (const { begin, end, reject } of calls) {
      const before = (place: number): number => Math.min(Math.max(place - begin, 0), end - begin);
      const own = before(accepted);
      reject(new PushInterrupted(jobId, own, before(accepted + unconfirmed) - own, cause));
    }
  }

  #close(): void {
    this.#pusher = undefined;
    this.#count = 0;
  }
}
