import { JobNotFound, JobNotRunning, PushInterrupted } from '../client/errors.ts';
import { isTransient } from '../client/server-errors.ts';
import { type Listeners, tellListeners } from '../client/push/listeners.ts';
import { sleep, unless } from '../client/push/patiently.ts';
import type { CheckedTrigger } from '../client/push/push.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import type { ConsumerMetrics } from './consumer-metrics.ts';

/** As the Temporal SDK's loggers. No field holds anything of a person. */
export interface ConsumerLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface HandoverOptions {
  readonly listeners: Listeners;
  /** Resolves once the job has accepted all of them, in their order. @throws PushInterrupted */
  readonly signal: (jobId: string, triggers: readonly CheckedTrigger[]) => Promise<void>;
  /** The only jobs that are told, each also while it does not run: then what it is to be told waits. Undefined: every running job that listens. */
  readonly jobs?: readonly string[] | undefined;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
const UNHEARD_EVERY_MS = 60_000;
/** Most audiences in one line of the log. */
const MOST_NAMED = 20;

/** Hands triggers over to jobs, and does not give up: what is taken from a stream may be forgotten there once this is done. */
export class Handover {
  readonly #options: HandoverOptions;
  /** Jobs that take nothing at the moment: why, and what is given to them and waits. */
  readonly #waitedFor = new Map<
    string,
    { readonly problem: string; readonly waiting: Set<readonly CheckedTrigger[]> }
  >();
  /** Audiences to which nobody listened, and triggers about them, since that was last said. */
  readonly #unheard = new Set<string>();
  #unheardCount = 0;
  #saysUnheardAtMs = 0;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** Why what is given waits; undefined when it does not. */
  get problem(): string | undefined {
    const [one] = this.#waitedFor.values();
    return one && `A job takes nothing. ${one.problem}`;
  }

  /**
   * Resolves once each job that listens has accepted all of them, in their order. A job that is full, and a Temporal that does not answer, are
   * waited for.
   * @returns those to whose audience nobody listens: they were told to nobody. With `jobs`, whoever gives asks `hears` before.
   * @throws the reason of `stop`, as soon as that is aborted: some may have been accepted, and are to be given again
   */
  async give(triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<readonly CheckedTrigger[]> {
    return await unless(stop, this.#give(triggers, stop));
  }

  async #give(triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<readonly CheckedTrigger[]> {
    const { jobs, metrics } = this.#options;
    const beganAt = performance.now();
    const listening = async (audience: string): Promise<readonly string[]> => {
      const jobIds = await this.#listeningTo(audience, stop);
      // What none of the only jobs listens to any more they count, and show in their status, instead of nobody.
      return jobIds.length === 0 && jobs !== undefined ? jobs : jobIds;
    };
    const unheard = await tellListeners(triggers, listening, (jobId, own) => this.#untilAccepted(jobId, own, stop));
    metrics.handedOver(
      { accepted: triggers.length - unheard.length, unheard: unheard.length },
      (performance.now() - beganAt) / 1000,
    );
    this.#saysUnheard(unheard);
    return unheard;
  }

  /** Says which of `jobs` do not run: a misspelt one would be waited for, and that would be seen with the first message only. */
  async lookAtJobs(): Promise<void> {
    const { jobs = [], listeners, log } = this.#options;
    for (const jobId of jobs) {
      const problem = await listeners.job(jobId).then(
        (job) => (job === undefined ? `The job "${jobId}" has ended.` : undefined),
        async (error: unknown) => {
          if (!(error instanceof JobNotFound)) throw error;
          const near = nearestKey(jobId, [...(await listeners.running())]);
          return new JobNotFound(jobId, { near }).message;
        },
      );
      if (problem !== undefined)
        log.warn('a job that is to be told does not run; what it is to be told will wait', { jobId, problem });
    }
  }

  /**
   * False: with `jobs`, each of them runs, and none listens to the audience, as was found out just now.
   * @throws the reason of `stop`, once that is aborted
   */
  async hears(audience: string, stop: AbortSignal): Promise<boolean> {
    if (this.#options.jobs === undefined) return true;
    const listening = async () => await unless(stop, this.#listeningTo(audience, stop));
    if ((await listening()).length > 0) return true;
    // A job that was edited a moment ago may listen by now.
    this.#options.listeners.forget();
    return (await listening()).length > 0;
  }

  /**
   * Those about audiences to which one of `jobs` listens; of the others it is counted, and said, that nobody was told. Without `jobs`, all of them: `give`
   * says so of itself.
   * @throws the reason of `stop`, once that is aborted
   */
  async heardOf(triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<readonly CheckedTrigger[]> {
    const { jobs, metrics } = this.#options;
    if (jobs === undefined) return triggers;
    const isHeard = new Map<string, boolean>();
    for (const { trigger } of triggers)
      if (!isHeard.has(trigger.audience)) isHeard.set(trigger.audience, await this.hears(trigger.audience, stop));
    const [heard, unheard] = [true, false].map((wanted) =>
      triggers.filter(({ trigger }) => isHeard.get(trigger.audience) === wanted),
    ) as [CheckedTrigger[], CheckedTrigger[]];
    metrics.handedOver({ accepted: 0, unheard: unheard.length }, 0);
    this.#saysUnheard(unheard);
    return heard;
  }

  /** Once a minute at most. */
  #saysUnheard(triggers: readonly CheckedTrigger[]): void {
    for (const { trigger } of triggers) if (this.#unheard.size < MOST_NAMED) this.#unheard.add(trigger.audience);
    this.#unheardCount += triggers.length;
    if (this.#unheardCount === 0 || performance.now() < this.#saysUnheardAtMs) return;
    this.#saysUnheardAtMs = performance.now() + UNHEARD_EVERY_MS;
    this.#options.log.warn('nobody was told, since no running job listens', {
      audiences: [...this.#unheard],
      count: this.#unheardCount,
    });
    this.#unheard.clear();
    this.#unheardCount = 0;
  }

  /**
   * Which of several names of an audience counts: the first that a job listens to, or else the first.
   * @throws the reason of `stop`, once that is aborted
   */
  async nameOf(names: readonly [string, ...string[]], stop: AbortSignal): Promise<string> {
    if (names.length > 1)
      for (const name of names) if ((await unless(stop, this.#listeningTo(name, stop))).length > 0) return name;
    return names[0];
  }

  async #listeningTo(audience: string, stop: AbortSignal): Promise<readonly string[]> {
    const { listeners, jobs, log } = this.#options;
    const ask = async (): Promise<readonly string[]> => {
      if (jobs === undefined) return (await listeners.of(audience)).map(({ jobId }) => jobId);
      const isHeard = await Promise.all(jobs.map(async (jobId) => await this.#mayListen(jobId, audience)));
      return jobs.filter((_, i) => isHeard[i]);
    };
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = longer(pauseMs)) {
      try {
        return await ask();
      } catch (error) {
        if (pauseMs === FIRST_PAUSE_MS)
          log.warn('which jobs listen cannot be read; what they are to be told waits', { problem: wordsOf(error) });
      }
      await sleep(pauseMs, stop);
    }
  }

  /** One that is not there yet may listen once it is. */
  async #mayListen(jobId: string, audience: string): Promise<boolean> {
    try {
      return await this.#options.listeners.listens(jobId, audience);
    } catch (error) {
      if (error instanceof JobNotFound) return true;
      throw error;
    }
  }

  /** How many of them the job took; fewer than all when it has ended, and is not one of the only ones. */
  async #untilAccepted(jobId: string, triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<number> {
    const { listeners, signal, jobs } = this.#options;
    let left = triggers;
    try {
      for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = longer(pauseMs)) {
        try {
          await signal(jobId, left);
          this.#accepts(jobId);
          return triggers.length;
        } catch (error) {
          if (!(error instanceof PushInterrupted)) throw error;
          left = left.slice(error.accepted);
          const hasEnded = error.cause instanceof JobNotRunning || error.cause instanceof JobNotFound;
          if (hasEnded) listeners.forget();
          if (hasEnded && jobs === undefined) {
            this.#accepts(jobId);
            return triggers.length - left.length;
          }
          this.#waitsFor(jobId, triggers, error.cause);
        }
        await sleep(pauseMs, stop);
      }
    } finally {
      // What is given up waits no more, though the job takes nothing.
      const { waiting } = this.#waitedFor.get(jobId) ?? {};
      if (waiting?.delete(triggers) === true && waiting.size === 0) this.#waitsNoMoreFor(jobId);
    }
  }

  #waitsFor(jobId: string, triggers: readonly CheckedTrigger[], cause: unknown): void {
    const known = this.#waitedFor.get(jobId);
    if (known !== undefined) return void known.waiting.add(triggers);
    const problem = wordsOf(cause);
    this.#waitedFor.set(jobId, { problem, waiting: new Set([triggers]) });
    this.#options.metrics.waitsForJobs(this.#waitedFor.size);
    this.#options.log.warn('a job takes nothing; what it is to be told waits', { jobId, problem });
  }

  #accepts(jobId: string): void {
    if (this.#waitsNoMoreFor(jobId)) this.#options.log.info('the job takes triggers again', { jobId });
  }

  #waitsNoMoreFor(jobId: string): boolean {
    const waited = this.#waitedFor.delete(jobId);
    if (waited) this.#options.metrics.waitsForJobs(this.#waitedFor.size);
    return waited;
  }
}

function longer(pauseMs: number): number {
  return Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
}

function wordsOf(error: unknown): string {
  if (isTransient(error)) return 'Temporal does not answer.';
  return error instanceof Error ? error.message : String(error);
}
