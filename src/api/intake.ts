import { setImmediate } from 'node:timers/promises';
import { InvalidTrigger, JobNotFound, JobNotRunning, PushInterrupted } from '../client/calls/errors.ts';
import { type JobDirectory, unmatchedText } from '../client/push/job-directory.ts';
import { hasEnded, publishList } from '../client/push/publish.ts';
import type { CheckedTrigger } from '../client/push/job-pusher.ts';
import { checked } from '../client/push/push.ts';
import { triggerKeySearch } from '../client/push/key-search.ts';
import type { Caller } from './callers.ts';
import { type Refusal, Refused, refusalOf } from './refusal.ts';

/** One item of a request: its value, or why it is no trigger; or an empty line of a stream. */
export type Item = { readonly raw: unknown } | { readonly reason: string } | { readonly isBlank: true };

/** Why something is not a trigger that can be sent. */
export interface RefusedItem {
  /** Its place in the request, from 0; for NDJSON, its line. */
  readonly index: number;
  readonly reason: string;
}

/** The results of a request. */
export interface TakenIn {
  /** Triggers that Temporal has, counted for each job that subscribes. */
  readonly accepted: number;
  /** Triggers to whose audience no running job subscribes. Only without a job. */
  readonly unmatched?: number;
  readonly refusedCount: number;
  /** The first hundred of them. */
  readonly refused: readonly RefusedItem[];
  /** Accepted triggers, by job. Only without a job. */
  readonly jobs?: Readonly<Record<string, number>>;
  /** Triggers that a job may or may not have. It has all triggers before them, and none after them. */
  readonly unconfirmed?: number;
}

export interface IntakeWorld {
  readonly directory: JobDirectory;
  /** Resolves once the job has accepted all of them. @throws PushInterrupted */
  readonly signal: (jobId: string, triggers: readonly CheckedTrigger[]) => Promise<void>;
}

const MOST_REFUSED = 100;
/** Most audiences that one line of the log names. */
const MOST_NAMED = 20;
/** After this many items, other requests get a turn. */
const ITEMS_AT_ONCE = 200;

/** Accepts the items of one request, part by part and in order, for one job or for each that subscribes. */
export class Intake {
  readonly #world: IntakeWorld;
  readonly #caller: Caller;
  readonly #jobId: string | undefined;
  readonly #atOf: (index: number) => string;
  /** Some of the audiences to which no running job subscribes. */
  readonly unmatchedAudiences = new Set<string>();
  readonly #refused: RefusedItem[] = [];
  readonly #jobs = new Map<string, number>();
  /** A stream has one for each of its parts. */
  #search = triggerKeySearch();
  #read = 0;
  #accepted = 0;
  #unmatched = 0;
  #refusedCount = 0;
  #unconfirmed = 0;

  /**
   * @param jobId undefined: every running job that subscribes.
   * @param atOf the `at` of a trigger without one, by its place in the request.
   */
  constructor(world: IntakeWorld, caller: Caller, jobId: string | undefined, atOf: (index: number) => string) {
    this.#world = world;
    this.#caller = caller;
    this.#jobId = jobId;
    this.#atOf = atOf;
  }

  get takenIn(): TakenIn {
    return {
      accepted: this.#accepted,
      ...(this.#jobId === undefined ? { unmatched: this.#unmatched, jobs: Object.fromEntries(this.#jobs) } : {}),
      refusedCount: this.#refusedCount,
      refused: this.#refused,
      ...(this.#unconfirmed === 0 ? {} : { unconfirmed: this.#unconfirmed }),
    };
  }

  /**
   * Takes the next part. With `strict`, nothing of a part is sent if any item of it is refused.
   * @throws Refused, and the client's errors: triggers that `takenIn` counts are accepted all the same.
   */
  async take(items: readonly Item[], strict = false): Promise<void> {
    await this.#checkNeeded();
    this.#search = triggerKeySearch();
    const right: CheckedTrigger[] = [];
    for (const item of items) {
      const index = this.#read++;
      if ('isBlank' in item) continue;
      if (index % ITEMS_AT_ONCE === ITEMS_AT_ONCE - 1) await setImmediate();
      const found = await this.#check(item, index);
      if (typeof found !== 'string') right.push(found);
      else {
        this.#refusedCount += 1;
        if (this.#refused.length < MOST_REFUSED) this.#refused.push({ index, reason: found });
      }
    }
    if (strict && this.#refusedCount > 0) return;
    if (this.#jobId === undefined) await this.#publish(right);
    else await this.#send(this.#jobId, right);
  }

  /** A trigger that can be sent, or why it cannot be sent. */
  async #check(item: Exclude<Item, { isBlank: true }>, index: number): Promise<CheckedTrigger | string> {
    if ('reason' in item) return item.reason;
    try {
      const one = checked(item.raw, () => this.#atOf(index), this.#search);
      const { audience } = one.trigger;
      if (!this.#caller.mayAudience(audience)) return `this API key may not send triggers about "${audience}"`;
      const jobId = this.#jobId;
      const { needs } = this.#caller;
      if (needs !== undefined && (await this.#subscribers(audience)).length === 0) {
        await this.#checkNeeded();
        return `none of the jobs of this ingest subscribes to "${audience}"`;
      }
      if (jobId === undefined || (await this.#subscribes(jobId, audience))) return one;
      // A refusal that is not shown gets no advice: it costs time.
      if (this.#refused.length >= MOST_REFUSED) return '';
      return unmatchedText(jobId, audience, this.#isOfAudiences ? undefined : await this.#world.directory.job(jobId));
    } catch (error) {
      if (error instanceof InvalidTrigger) return error.reason;
      throw error;
    }
  }

  /** A key for some audiences, of whatever jobs, learns of a job only that it subscribes to one of them. */
  get #isOfAudiences(): boolean {
    return this.#caller.jobs === undefined && this.#caller.audiences !== undefined;
  }

  async #subscribes(jobId: string, audience: string): Promise<boolean> {
    return await this.#world.directory.subscribes(jobId, audience).catch((error: unknown) => {
      const isNone = error instanceof JobNotFound || error instanceof JobNotRunning;
      if (this.#isOfAudiences && isNone) return false;
      throw error;
    });
  }

  async #send(jobId: string, triggers: readonly CheckedTrigger[]): Promise<void> {
    try {
      await this.#world.signal(jobId, triggers);
      this.#accepted += triggers.length;
    } catch (error) {
      if (error instanceof PushInterrupted) {
        this.#accepted += error.accepted;
        this.#unconfirmed += error.unconfirmed;
      }
      throw error;
    }
  }

  async #publish(triggers: readonly CheckedTrigger[]): Promise<void> {
    if (triggers.length > 0) await this.#checkJobs();
    const unmatched = await publishList(
      triggers,
      (audience) => this.#subscribers(audience),
      (jobId, own) => this.#sendTo(jobId, own),
    );
    for (const { trigger } of unmatched.slice(0, MOST_NAMED)) this.unmatchedAudiences.add(trigger.audience);
    this.#unmatched += unmatched.length;
    this.#accepted += triggers.length - unmatched.length;
  }

  async #subscribers(audience: string): Promise<readonly string[]> {
    const { directory } = this.#world;
    const { needs } = this.#caller;
    if (needs === undefined) return await directory.subscribers(audience, (jobId) => this.#caller.mayJob(jobId));
    // Each job is asked alone: one that is stopping must get everything, too.
    return (await Promise.all(needs.map((jobId) => directory.subscribers(audience, (one) => one === jobId)))).flat();
  }

  /** @throws Refused while a job that must run does not run: it would never get triggers that were accepted now */
  async #checkNeeded(): Promise<void> {
    const { needs } = this.#caller;
    if (needs === undefined) return;
    const running = await this.#world.directory.running();
    const away = needs.find((jobId) => !running.has(jobId));
    if (away !== undefined) throw new NeededJobNotRunning(away);
  }

  /** @throws Refused when the key is for some jobs, and none of them runs: the key may misspell one of them */
  async #checkJobs(): Promise<void> {
    const { jobs } = this.#caller;
    if (jobs === undefined) return;
    const running = await this.#world.directory.running();
    if (jobs.some((jobId) => running.has(jobId))) return;
    const named = jobs.map((jobId) => `"${jobId}"`).join(', ');
    throw new Refused(409, 'JobNotRunning', `This API key is for ${named} only, and no such job runs.`);
  }

  /** Returns the triggers that a job did not accept because it has ended by now. @throws PartlyAccepted */
  async #sendTo(jobId: string, triggers: readonly CheckedTrigger[]): Promise<readonly CheckedTrigger[]> {
    const before = this.#jobs.get(jobId) ?? 0;
    try {
      await this.#world.signal(jobId, triggers);
      this.#jobs.set(jobId, before + triggers.length);
      return [];
    } catch (error) {
      const accepted = error instanceof PushInterrupted ? error.accepted : 0;
      if (accepted > 0) this.#jobs.set(jobId, before + accepted);
      if (!hasEnded(error)) throw new PartlyAccepted(error);
      this.#world.directory.forget();
      if (this.#caller.needs !== undefined) throw new PartlyAccepted(new NeededJobNotRunning(jobId));
      return triggers.slice(accepted);
    }
  }
}

/** A job that an ingest needs is not running. */
class NeededJobNotRunning extends Refused {
  constructor(jobId: string) {
    const detail = `The job "${jobId}", one of the "jobs" of this ingest, does not run. Send it again later.`;
    super(503, 'JobNotRunning', detail, { retryAfterS: 5 });
  }
}

/** A job did not accept triggers that others accepted. */
class PartlyAccepted extends Refused {
  constructor(failure: unknown) {
    const { status, code, detail, ...more }: Refusal = refusalOf(failure);
    const advice =
      'Send the whole request again: a job recognises, by person, audience, event and "at", what it was sent before. With an Idempotency-Key that holds for triggers without an "at", too.';
    super(status, code, `${detail} ${advice}`, more);
  }
}
