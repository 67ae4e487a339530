import { setImmediate } from 'node:timers/promises';
import type { EventTrigger } from '../../contract/trigger.ts';
import { bytesAfter } from '../../domain/trigger-run.ts';
import { PushInterrupted } from '../errors.ts';
import { HistoryGauge, type JobSignals, PatientSignals, SIGNAL_BYTES } from './patient-signals.ts';
import type { CheckedTrigger } from './push.ts';

/** Jobs of which it is remembered how full their history was. */
const GAUGES = 1_000;

/**
 * Signals jobs for many callers at once. Each signal is a write of the job's workflow, of which a server manages some hundreds a second, so
 * what calls bring while the signal before is under way goes together in the next one. A call that is alone is sent at once.
 */
export class GroupedSignals {
  readonly #signalsOf: (jobId: string) => JobSignals;
  readonly #patienceMs: number;
  readonly #stop: AbortSignal | undefined;
  readonly #jobs = new Map<string, JobGroup>();
  /** By job id, at most `GAUGES`, the one that was used last at the end. */
  readonly #gauges = new Map<string, HistoryGauge>();

  /**
   * @param patienceMs longest wait for a signal to be accepted, in ms.
   * @param stop aborting it ends every wait.
   */
  constructor(signalsOf: (jobId: string) => JobSignals, patienceMs: number, stop?: AbortSignal) {
    this.#signalsOf = signalsOf;
    this.#patienceMs = patienceMs;
    this.#stop = stop;
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
    const gauge = this.#gauges.get(jobId) ?? new HistoryGauge();
    this.#gauges.delete(jobId);
    this.#gauges.set(jobId, gauge);
    const [oldest] = this.#gauges.keys();
    if (this.#gauges.size > GAUGES && oldest !== undefined) this.#gauges.delete(oldest);
    return gauge;
  }

  #open(jobId: string): JobGroup {
    const signals = new PatientSignals(jobId, this.#signalsOf(jobId), {
      gauge: this.gauge(jobId),
      patienceMs: this.#patienceMs,
      signal: this.#stop,
    });
    const group = new JobGroup(jobId, signals, () => this.#jobs.delete(jobId));
    this.#jobs.set(jobId, group);
    return group;
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

/** The calls for one job that are under way. */
class JobGroup {
  readonly #jobId: string;
  readonly #signals: PatientSignals;
  readonly #onIdle: () => void;
  #waiting: Waiting[] = [];
  #isSending = false;

  constructor(jobId: string, signals: PatientSignals, onIdle: () => void) {
    this.#jobId = jobId;
    this.#signals = signals;
    this.#onIdle = onIdle;
  }

  async add(triggers: readonly CheckedTrigger[]): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const caller: Caller = { left: triggers.length, accepted: 0, resolve, reject };
      for (const one of triggers) this.#waiting.push({ ...one, caller });
      if (!this.#isSending) void this.#send();
    });
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (this.#waiting.length > 0) {
      // What is called in the same turn of the event loop goes together.
      await setImmediate();
      const batch = this.#take();
      const bytes = batch.reduce((sum, one) => sum + one.bytes + 1, 0);
      const triggers: EventTrigger[] = batch.map(({ trigger }) => trigger);
      const failure = await this.#signals.send(triggers, bytes);
      if (failure === undefined) accepted(batch);
      // It is the job or the server that takes nothing: the others would wait as long, each after the one before.
      else this.#fail(failure.isUnconfirmed ? batch : [], batch, failure.cause);
    }
    this.#isSending = false;
    this.#onIdle();
  }

  /** As many as go into a signal, and at least one. */
  #take(): Waiting[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((_, i) => (bytes += this.#sizeOf(i)) > SIGNAL_BYTES && i > 0);
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  #sizeOf(i: number): number {
    const one = this.#waiting[i];
    return one === undefined ? 0 : bytesAfter(this.#waiting[i - 1]?.trigger, one.trigger, one.bytes) + 1;
  }

  #fail(unconfirmed: readonly Waiting[], batch: readonly Waiting[], cause: unknown): void {
    const doubtful = new Map<Caller, number>();
    for (const { caller } of unconfirmed) doubtful.set(caller, (doubtful.get(caller) ?? 0) + 1);
    const callers = new Set([...batch, ...this.#waiting.splice(0)].map(({ caller }) => caller));
    for (const caller of callers)
      caller.reject(new PushInterrupted(this.#jobId, caller.accepted, doubtful.get(caller) ?? 0, cause));
  }
}

function accepted(batch: readonly Waiting[]): void {
  for (const { caller } of batch) {
    caller.accepted += 1;
    caller.left -= 1;
    if (caller.left === 0) caller.resolve();
  }
}
