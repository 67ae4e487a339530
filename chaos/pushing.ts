import { setTimeout as sleep } from 'node:timers/promises';
import { PushInterrupted, type ExportJobs } from '../src/app/export-jobs.ts';
import { changeKey } from './judge.ts';
import { changeOf, type TimedTrigger } from './workload.ts';

/** What brings a job its triggers. */
export interface Upstream {
  /** How many Temporal has. */
  readonly accepted: number;
  /** Those of the triggers that it has, in their order. */
  readonly told: readonly TimedTrigger[];
  /** What was brought a second time: `changeKey`. */
  readonly repeated: ReadonlySet<string>;
  /** How often it had to be tried again, by the reason. */
  readonly interruptions: ReadonlyMap<string, number>;
  /** Until all are with it. */
  run(): Promise<void>;
}

export interface PushingOptions {
  readonly jobs: ExportJobs;
  readonly jobId: string;
  readonly triggers: readonly TimedTrigger[];
  /** Most triggers in one push. */
  readonly pushSize: number;
  /** Most triggers that may be accepted and not delivered yet. */
  readonly lead: () => number;
  readonly delivered: () => number;
  /** Ends it early: what is not accepted by then never is. */
  readonly signal: AbortSignal;
}

/** Short, so that a push breaks off while the server is away, as an upstream's would. */
const PATIENCE_MS = 3_000;
const AGAIN_MS = 250;
const LOOK_MS = 20;

/** Signals a job its triggers in order, and whatever may not have been accepted once more, until all are with it. */
export class Pushing implements Upstream {
  accepted = 0;
  readonly repeated = new Set<string>();
  readonly interruptions = new Map<string, number>();
  readonly #options: PushingOptions;

  constructor(options: PushingOptions) {
    this.#options = options;
  }

  get told(): readonly TimedTrigger[] {
    return this.#options.triggers.slice(0, this.accepted);
  }

  async run(): Promise<void> {
    const { triggers, signal, lead, delivered } = this.#options;
    while (this.accepted < triggers.length && !signal.aborted) {
      const most = lead();
      if (this.accepted - delivered() < most) await this.#pushSome(most);
      else await sleep(LOOK_MS);
    }
  }

  async #pushSome(most: number): Promise<void> {
    const { jobs, jobId, triggers, pushSize } = this.#options;
    const some = triggers.slice(this.accepted, this.accepted + Math.min(pushSize, most));
    try {
      this.accepted += (await jobs.push(jobId, some, { patienceMs: PATIENCE_MS })).accepted;
    } catch (error) {
      if (!(error instanceof PushInterrupted)) throw error;
      const doubtful = some.slice(error.accepted, error.accepted + error.unconfirmed);
      for (const trigger of doubtful) this.repeated.add(changeKey(changeOf(trigger)));
      this.accepted += error.accepted;
      const reason = error.cause instanceof Error ? error.cause.message : String(error.cause);
      this.interruptions.set(reason, (this.interruptions.get(reason) ?? 0) + 1);
      await sleep(AGAIN_MS);
    }
  }
}
