import { PushInterrupted } from '../errors.ts';
import { type CheckedTrigger, JobPusher, type PushProgress, type SharedByPushers } from './job-pusher.ts';
import { HistoryGauge, type JobSignals, SIGNAL_BYTES } from './signal-sender.ts';

/** Jobs of which it is remembered how full their history was, and how many call. */
const REMEMBERED = 1_000;
const GATHER_MS = 10;

/**
 * Signals jobs for many callers at once. Each signal is a write of the job's workflow, of which a server manages some hundreds a second. What
 * calls bring while a signal is under way therefore goes together in the next one. Where several calls were answered together, the next signal
 * waits a moment until as many have called again. A call that is alone is sent at once.
 */
export class GroupedSignals {
  readonly #signalsOf: (jobId: string) => JobSignals;
  readonly #patienceMs: number;
  readonly #gatherMs: number;
  /** By job id, the one that was used last at the end; at most `REMEMBERED`, and those that are at work. */
  readonly #jobs = new Map<string, JobGroup>();

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
    if (triggers.length > 0) await this.#of(jobId).signal(triggers);
  }

  /** The gauge of a job, for others who signal it. */
  gauge(jobId: string): HistoryGauge {
    return this.#of(jobId).gauge;
  }

  #of(jobId: string): JobGroup {
    const open: OpenPusher = (onProgress, shared) =>
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

type OpenPusher = (onProgress: (progress: PushProgress) => void, shared: SharedByPushers) => JobPusher;

/** A call, until the job has accepted all that it brought: from `begin` to before `end` of what the pusher was given. */
interface Call {
  readonly begin: number;
  readonly end: number;
  readonly resolve: () => void;
  readonly reject: (error: PushInterrupted) => void;
}

/** The calls for one job. */
class JobGroup {
  readonly gauge = new HistoryGauge();
  readonly #open: OpenPusher;
  readonly #gatherMs: number;
  /** Sends for the open calls; there is none while there are none. */
  #pusher: JobPusher | undefined;
  /** The open calls, in their order. */
  #calls: Call[] = [];
  /** How many triggers the pusher was given. */
  #given = 0;
  /** When a signal was last accepted, and how many called at about that time: most callers call again once they are answered. */
  #lastAtMs = -Infinity;
  #lastCalls = 1;

  constructor(open: OpenPusher, gatherMs: number) {
    this.#open = open;
    this.#gatherMs = gatherMs;
  }

  get isIdle(): boolean {
    return this.#pusher === undefined;
  }

  async signal(triggers: readonly CheckedTrigger[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const begin = this.#given;
      this.#given += triggers.length;
      this.#calls.push({ begin, end: this.#given, resolve, reject });
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

  /** The job or the server takes nothing: the later calls would wait as long, each after the one before. */
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
    this.#given = 0;
  }
}
