import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { JobNotFound, PushInterrupted } from '../../client/calls/errors.ts';
import type { JobDirectory } from '../../client/push/job-directory.ts';
import { unless, withRetries } from '../../client/calls/with-retries.ts';
import { hasEnded, publishList } from '../../client/push/publish.ts';
import type { CheckedTrigger } from '../../client/push/job-pusher.ts';
import { isTransient } from '../../client/calls/server-errors.ts';
import { nearestKey } from '../../contract/nearest-key.ts';

/** Like the Temporal SDK's loggers. No field holds anything about a person. */
export interface ConsumerLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface HandoverOptions {
  readonly directory: JobDirectory;
  /** Resolves once the job has accepted all of them, in their order. @throws PushInterrupted */
  readonly signal: (jobId: string, triggers: readonly CheckedTrigger[]) => Promise<void>;
  /** The only jobs that get triggers. Triggers for a job that does not run wait until it does. Undefined: every running job that subscribes. */
  readonly jobs?: readonly string[] | undefined;
  readonly log: ConsumerLog;
  readonly metrics: ConsumerMetrics;
}

const UNMATCHED_EVERY_MS = 60_000;
/** Most audiences in one line of the log. */
const MOST_NAMED = 20;

/** Hands triggers over to jobs, and does not give up: once this is done, the stream that they came from may forget them. */
export class Handover {
  readonly #options: HandoverOptions;
  /** Jobs that are not accepting triggers: why, and the triggers that wait for them. */
  readonly #waitedFor = new Map<
    string,
    { readonly problem: string; readonly waiting: Set<readonly CheckedTrigger[]> }
  >();
  /** Audiences to which no job subscribed, and the number of their triggers, since that was last logged. */
  readonly #unmatched = new Set<string>();
  #unmatchedCount = 0;
  #warnsUnmatchedAtMs = 0;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** Why triggers wait; undefined when none does. */
  get problem(): string | undefined {
    const [one] = this.#waitedFor.values();
    return one && `A job accepts no triggers. ${one.problem}`;
  }

  /**
   * Resolves once each job that subscribes has accepted all of them, in their order. Waits for a job that is full, and for Temporal if it does not
   * answer.
   * @returns those to which no job subscribes: they are dropped, counted and logged.
   * @throws the reason of `stop`, as soon as that is aborted: some may have been accepted, and must be given again
   */
  async give(triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<readonly CheckedTrigger[]> {
    return await unless(stop, this.#give(triggers, stop));
  }

  async #give(triggers: readonly CheckedTrigger[], stop: AbortSignal): Promise<readonly CheckedTrigger[]> {
    const beganAt = performance.now();
    const unmatched = await publishList(
      triggers,
      (audience) => this.#subscribers(audience, stop),
      (jobId, own) => this.#untilAccepted(jobId, own, stop),
    );
    this.#options.metrics.handedOver(
      { accepted: triggers.length - unmatched.length, unmatched: unmatched.length },
      (performance.now() - beganAt) / 1000,
    );
    this.#warnUnmatched(unmatched);
    return unmatched;
  }

  /** Logs which of `jobs` do not run: a misspelt one would be waited for, and otherwise show only with the first message. */
  async lookAtJobs(): Promise<void> {
    const { jobs = [], directory, log } = this.#options;
    for (const jobId of jobs) {
      const problem = await directory.job(jobId).then(
        (job) => (job === undefined ? `The job "${jobId}" has ended.` : undefined),
        async (error: unknown) => {
          if (!(error instanceof JobNotFound)) throw error;
          const near = nearestKey(jobId, [...(await directory.running())]);
          return new JobNotFound(jobId, { near }).message;
        },
      );
      if (problem !== undefined)
        log.warn('a configured job is not running; its triggers will wait', { jobId, problem });
    }
  }

  /**
   * Returns false if `jobs` are given, all of them run, and none subscribes to the audience, as was looked up just now.
   * @throws the reason of `stop`, once that is aborted
   */
  async isSubscribed(audience: string, stop: AbortSignal): Promise<boolean> {
    if (this.#options.jobs === undefined) return true;
    return (await unless(stop, this.#subscribers(audience, stop))).length > 0;
  }

  /** Once a minute at most. */
  #warnUnmatched(triggers: readonly CheckedTrigger[]): void {
    for (const { trigger } of triggers) if (this.#unmatched.size < MOST_NAMED) this.#unmatched.add(trigger.audience);
    this.#unmatchedCount += triggers.length;
    if (this.#unmatchedCount === 0 || performance.now() < this.#warnsUnmatchedAtMs) return;
    this.#warnsUnmatchedAtMs = performance.now() + UNMATCHED_EVERY_MS;
    this.#options.log.warn('dropped: no running job subscribes', {
      audiences: [...this.#unmatched],
      count: this.#unmatchedCount,
    });
    this.#unmatched.clear();
    this.#unmatchedCount = 0;
  }

  /**
   * Returns which of several names of an audience counts: the first to which a job subscribes, or else the first.
   * @throws the reason of `stop`, once that is aborted
   */
  async nameOf(names: readonly [string, ...string[]], stop: AbortSignal): Promise<string> {
    if (names.length > 1)
      for (const name of names) if ((await unless(stop, this.#known(name, stop))).length > 0) return name;
    return names[0];
  }

  async #subscribers(audience: string, stop: AbortSignal): Promise<readonly string[]> {
    const { directory, jobs } = this.#options;
    const known = await this.#known(audience, stop);
    if (known.length > 0 || jobs === undefined) return known;
    // A job that was edited a moment ago may subscribe by now.
    directory.forget();
    return await this.#known(audience, stop);
  }

  async #known(audience: string, stop: AbortSignal): Promise<readonly string[]> {
    const { directory, jobs, log } = this.#options;
    const ask = async (): Promise<readonly string[]> => {
      if (jobs === undefined) return await directory.subscribers(audience);
      const may = await Promise.all(jobs.map(async (jobId) => await this.#maySubscribe(jobId, audience)));
      return jobs.filter((_, i) => may[i]);
    };
    let isLogged = false;
    const onPause = (error: unknown): void => {
      const problem = wordsOf(error);
      if (!isLogged) log.warn('cannot read which jobs subscribe; triggers wait', { problem });
      isLogged = true;
    };
    return await withRetries(ask, { ...WITHOUT_END, signal: stop, onPause });
  }

  /** A job that does not exist yet may subscribe once it does. */
  async #maySubscribe(jobId: string, audience: string): Promise<boolean> {
    try {
      return await this.#options.directory.subscribes(jobId, audience);
    } catch (error) {
      if (error instanceof JobNotFound) return true;
      throw error;
    }
  }

  /** Returns the triggers that the job did not accept, since it has ended and is not one of `jobs`. */
  async #untilAccepted(
    jobId: string,
    triggers: readonly CheckedTrigger[],
    stop: AbortSignal,
  ): Promise<readonly CheckedTrigger[]> {
    const { directory, signal, jobs } = this.#options;
    let left = triggers;
    const mayHelp = (error: unknown): boolean => {
      if (!(error instanceof PushInterrupted)) return false;
      left = left.slice(error.accepted);
      if (!hasEnded(error)) return true;
      directory.forget();
      return jobs !== undefined;
    };
    const onPause = (error: unknown): void => this.#waitsFor(jobId, triggers, (error as PushInterrupted).cause); // Or it may not help.
    try {
      await withRetries(() => signal(jobId, left), { ...WITHOUT_END, signal: stop, mayHelp, onPause });
      this.#accepts(jobId);
      return [];
    } catch (error) {
      if (jobs !== undefined || !hasEnded(error)) throw error;
      this.#accepts(jobId);
      return left;
    } finally {
      // A batch that is given up no longer waits, though the job accepts nothing.
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
    this.#options.log.warn('a job is not accepting triggers; its triggers wait', { jobId, problem });
  }

  #accepts(jobId: string): void {
    if (this.#waitsNoMoreFor(jobId)) this.#options.log.info('the job accepts triggers again', { jobId });
  }

  #waitsNoMoreFor(jobId: string): boolean {
    const waited = this.#waitedFor.delete(jobId);
    if (waited) this.#options.metrics.waitsForJobs(this.#waitedFor.size);
    return waited;
  }
}

/** Until it is stopped. */
const WITHOUT_END = { deadlineMs: Infinity, mayHelp: () => true };

function wordsOf(error: unknown): string {
  if (isTransient(error)) return 'Temporal does not answer.';
  return error instanceof Error ? error.message : String(error);
}

/** From an idle job's answer to the longest wait for one that is full, in seconds. */
const HANDOVER_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

const OUTCOMES = ['accepted', 'unmatched', 'poisoned', 'ignored'] as const;

/** Metrics of a consumer, for Prometheus. No label contains anything about a person. docs/metrics.md says what each means. */
export class ConsumerMetrics {
  readonly registry = new Registry();
  readonly #triggers;
  readonly #handover;
  readonly #waitedFor;

  constructor() {
    const registers = [this.registry];
    this.#triggers = new Counter({
      name: 'triggers_consumer_triggers_total',
      help: 'Triggers consumed, by outcome.',
      labelNames: ['outcome'],
      registers,
    });
    this.#handover = new Histogram({
      name: 'triggers_consumer_handover_seconds',
      help: 'Until every subscribed job had accepted what was read at once.',
      buckets: HANDOVER_BUCKETS,
      registers,
    });
    this.#waitedFor = new Gauge({
      name: 'triggers_consumer_jobs_waited_for',
      help: 'Jobs that accept nothing at the moment, so that the consumer waits.',
      registers,
    });
    for (const outcome of OUTCOMES) this.#triggers.inc({ outcome }, 0);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  async text(): Promise<string> {
    return await this.registry.metrics();
  }

  handedOver(
    { accepted, unmatched }: { readonly accepted: number; readonly unmatched: number },
    seconds: number,
  ): void {
    this.#triggers.inc({ outcome: 'accepted' }, accepted);
    this.#triggers.inc({ outcome: 'unmatched' }, unmatched);
    if (accepted > 0) this.#handover.observe(seconds);
  }

  poisoned(): void {
    this.#triggers.inc({ outcome: 'poisoned' });
  }

  ignored(count: number): void {
    this.#triggers.inc({ outcome: 'ignored' }, count);
  }

  waitsForJobs(jobs: number): void {
    this.#waitedFor.set(jobs);
  }
}

/** A consumer of a stream, until it is stopped. */
export interface RunningConsumer {
  /** Why it cannot do its work at the moment; undefined when it can. */
  readonly problem: string | undefined;
  /** Reads nothing more, and ends once what was read is accepted, or after 10 s. The next consumer reads the rest again. */
  stop(): Promise<void>;
}
