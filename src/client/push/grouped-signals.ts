import { setImmediate } from 'node:timers/promises';
import { bytesAfter, RUN_FRAME_BYTES, type RunTrigger } from '../../domain/trigger-run.ts';
import { PushInterrupted } from '../errors.ts';
import { HistoryGauge, type JobSignals, PatientSignals, SIGNAL_BYTES, type SignalSize } from './patient-signals.ts';
import type { CheckedTrigger } from './push.ts';

/** Jobs of which it is remembered how full their history was, and how many call. */
const REMEMBERED = 1_000;
const GATHER_MS = 10;

/**
 * Signals jobs for many callers at once. Each signal is a write of the job's workflow, of which a server manages some hundreds a second, so
 * what calls bring while the signal before is under way goes together in the next one; and where several were answered together, the next signal
 * waits a moment until as many have called again. A call that is alone is sent at once.
 */
export class GroupedSignals {
  readonly #signalsOf: (jobId: string) => JobSignals;
  readonly #patienceMs: number;
  readonly #gatherMs: number;
  readonly #jobs = new Map<string, JobGroup>();
  /** By job id, at most `REMEMBERED`, the one that was used last at the end. */
  readonly #remembered = new Map<string, { readonly gauge: HistoryGauge; readonly crowd: Crowd }>();

  /**
   * @param patienceMs longest wait for a signal to be accepted, in ms.
   * @param gatherMs how long, in ms, a signal waits for as many calls as there were at the one before it.
   */
  constructor(signalsOf: (jobId: string) => JobSignals, patienceMs: number, gatherMs: number = GATHER_MS) {
    this.#signalsOf = signalsOf;
    this.#patienceMs = patienceMs;
    this.#gatherMs = gatherMs;
  }

  /**
   * Resolves once the job has accepted all of them, in their order, and after those of calls before.
   * @throws PushInterrupted, which says how many of this call were accepted
   */
  async signal(jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> {
    if (triggers.length === 0) return;
    const group = this.#jobs.get(jobId) ?? this.#open(jobId);
    await group.add(triggers);
  }

  /** The gauge of a job, for others who signal it. */
  gauge(jobId: string): HistoryGauge {
    return this.#of(jobId).gauge;
  }

  #of(jobId: string): { readonly gauge: HistoryGauge; readonly crowd: Crowd } {
    const one = this.#remembered.get(jobId) ?? { gauge: new HistoryGauge(), crowd: new Crowd(this.#gatherMs) };
    this.#remembered.delete(jobId);
    this.#remembered.set(jobId, one);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    return one;
  }

  #open(jobId: string): JobGroup {
    const { gauge, crowd } = this.#of(jobId);
    const signals = new PatientSignals(jobId, this.#signalsOf(jobId), {
      gauge,
      patienceMs: this.#patienceMs,
    });
    const group = new JobGroup(jobId, signals, crowd, () => this.#jobs.delete(jobId));
    this.#jobs.set(jobId, group);
    return group;
  }
}

/** Those who call at about the same time: whoever was answered mostly calls again, beside those who wait already. */
class Crowd {
  readonly #gatherMs: number;
  #calls = 1;
  #metAtMs = -Infinity;

  constructor(gatherMs: number) {
    this.#gatherMs = gatherMs;
  }

  /** So many were answered just now, or wait. */
  met(calls: number): void {
    this.#calls = calls;
    this.#metAtMs = performance.now();
  }

  /** How long to wait for more calls than so many, in ms. */
  waitMs(calls: number): number {
    return calls >= this.#calls ? 0 : this.#metAtMs + this.#gatherMs - performance.now();
  }
}

/** A call, until all that it brought is accepted. */
interface Caller {
  left: number;
  accepted: number;
  readonly resolve: () => void;
  readonly reject: (error: PushInterrupted) => void;
}

interface Waiting extends CheckedTrigger {
  readonly caller: Caller;
}

const NOTHING: SignalSize = { bytes: 0, profileBytes: 0 };

function sum(one: SignalSize, other: SignalSize): SignalSize {
  return { bytes: one.bytes + other.bytes, profileBytes: one.profileBytes + other.profileBytes };
}

/** The calls for one job that are under way. */
class JobGroup {
  readonly #jobId: string;
  readonly #signals: PatientSignals;
  readonly #crowd: Crowd;
  readonly #onIdle: () => void;
  #waiting: Waiting[] = [];
  /** Of what waits: the calls that brought it, and its size, at most. */
  #calls = 0;
  #size: SignalSize = NOTHING;
  #isSending = false;
  /** Ends the wait for more calls. */
  #goOn: (() => void) | undefined;

  constructor(jobId: string, signals: PatientSignals, crowd: Crowd, onIdle: () => void) {
    this.#jobId = jobId;
    this.#signals = signals;
    this.#crowd = crowd;
    this.#onIdle = onIdle;
  }

  async add(triggers: readonly CheckedTrigger[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const caller: Caller = { left: triggers.length, accepted: 0, resolve, reject };
      for (const one of triggers) {
        this.#waiting.push({ ...one, caller });
        this.#size = sum(this.#size, one);
      }
      this.#calls += 1;
      if (!this.#isSending) void this.#send();
      else if (this.#waitMs() <= 0) this.#goOn?.();
    });
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0) {
      await this.#gather();
      const { batch, size } = this.#take();
      const triggers: RunTrigger[] = batch.map(({ trigger }) => trigger);
      const failure = await this.#signals.send(triggers, size);
      if (failure?.isTooLarge === true) this.#setWaiting([...batch, ...this.#waiting]);
      else if (failure === undefined) this.#crowd.met(accepted(batch) + this.#calls);
      // It is the job or the server that takes nothing: the others would wait as long, each after the one before.
      else this.#fail(failure.isUnconfirmed ? batch : [], batch, failure.cause);
    }
    this.#isSending = false;
    this.#onIdle();
  }

  async #gather(): Promise<void> {
    // What is called in the same turn of the event loop goes together.
    await setImmediate();
    const waitMs = this.#waitMs();
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#goOn = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#goOn = undefined;
  }

  #waitMs(): number {
    return this.#size.bytes >= SIGNAL_BYTES ? 0 : this.#crowd.waitMs(this.#calls);
  }

  /** As many as go into a signal, and at least one; and their size. */
  #take(): { readonly batch: readonly Waiting[]; readonly size: SignalSize } {
    let size: SignalSize = { ...NOTHING, bytes: RUN_FRAME_BYTES };
    let end = 0;
    for (const [i, one] of this.#waiting.entries()) {
      const bytes = bytesAfter(this.#waiting[i - 1]?.trigger, one.trigger, one.bytes) + 1;
      const more = sum(size, { ...one, bytes });
      if (i > 0 && !this.#signals.fits(more)) break;
      size = more;
      end++;
    }
    const batch = this.#waiting.slice(0, end);
    this.#setWaiting(this.#waiting.slice(end));
    return { batch, size };
  }

  #setWaiting(waiting: Waiting[]): void {
    this.#waiting = waiting;
    this.#calls = new Set(waiting.map(({ caller }) => caller)).size;
    this.#size = waiting.reduce<SignalSize>(sum, NOTHING);
  }

  #fail(unconfirmed: readonly Waiting[], batch: readonly Waiting[], cause: unknown): void {
    const doubtful = new Map<Caller, number>();
    for (const { caller } of unconfirmed) doubtful.set(caller, (doubtful.get(caller) ?? 0) + 1);
    const callers = new Set([...batch, ...this.#waiting].map(({ caller }) => caller));
    this.#setWaiting([]);
    for (const caller of callers)
      caller.reject(new PushInterrupted(this.#jobId, caller.accepted, doubtful.get(caller) ?? 0, cause));
  }
}

/** Says so to the calls that have nothing left; returns how many these are. */
function accepted(batch: readonly Waiting[]): number {
  let calls = 0;
  for (const { caller } of batch) {
    caller.accepted += 1;
    caller.left -= 1;
    if (caller.left > 0) continue;
    caller.resolve();
    calls += 1;
  }
  return calls;
}
