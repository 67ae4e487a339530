import { nearestKey } from '../../contract/nearest-key.ts';
import type { ListeningJob } from './publish.ts';
import type { CheckedTrigger } from './push.ts';

/** A job, and how its audiences may be named; null when that is not known here. */
export interface Listener {
  readonly jobId: string;
  readonly audiences: ReadonlySet<string> | null;
}

export interface ListenersOptions {
  /** All running jobs. A new one shows up in it within about a second. */
  readonly all: () => Promise<readonly ListeningJob[]>;
  /** One job; undefined when it has ended. @throws JobNotFound */
  readonly one: (jobId: string) => Promise<ListeningJob | undefined>;
  /** Ms by a clock that is never set. */
  readonly now?: () => number;
}

/** How old, in ms, what is known may be when it says yes; and when it says no, since a job or an audience may have come since. */
const KNOWN_MS = 10_000;
const DOUBTED_MS = 1_000;
/** Jobs that are remembered one by one. */
const MOST = 1_000;

/** Which jobs run and what they listen to. What one request has found out serves the others, for some seconds. */
export class Listeners {
  readonly #all: ListenersOptions['all'];
  readonly #one: ListenersOptions['one'];
  readonly #now: () => number;
  #list: Known<readonly Listener[]> | undefined;
  readonly #jobs = new Map<string, Known<Listener | undefined>>();

  constructor({ all, one, now = () => performance.now() }: ListenersOptions) {
    this.#all = all;
    this.#one = one;
    this.#now = now;
  }

  /** The running jobs that listen to an audience. */
  async of(audience: string): Promise<readonly Listener[]> {
    const listening = async (ageMs: number) =>
      (await this.#listed(ageMs)).filter(({ audiences }) => audiences?.has(audience) === true);
    const found = await listening(KNOWN_MS);
    return found.length > 0 ? found : await listening(DOUBTED_MS);
  }

  /** The ids of the running jobs. */
  async running(): Promise<ReadonlySet<string>> {
    return new Set((await this.#listed(DOUBTED_MS)).map(({ jobId }) => jobId));
  }

  /** Whether the job listens to the audience, as far as is known. @throws JobNotFound */
  async listens(jobId: string, audience: string): Promise<boolean> {
    const isHeard = (job: Listener | undefined): boolean => job?.audiences?.has(audience) !== false;
    return isHeard(await this.job(jobId)) || isHeard(await this.job(jobId, DOUBTED_MS));
  }

  /** The job with this id; undefined when it has ended. @throws JobNotFound */
  async job(jobId: string, ageMs = KNOWN_MS): Promise<Listener | undefined> {
    let known = this.#jobs.get(jobId);
    if (known === undefined || this.#isOlder(known, ageMs)) {
      known = { at: this.#now(), value: this.#one(jobId).then((one) => one && listenerOf(one)) };
      this.#remember(jobId, known);
    }
    return await known.value;
  }

  /** A job was started, changed or stopped. */
  forget(): void {
    this.#list = undefined;
    this.#jobs.clear();
  }

  async #listed(ageMs: number): Promise<readonly Listener[]> {
    if (this.#list === undefined || this.#isOlder(this.#list, ageMs)) {
      const list = { at: this.#now(), value: this.#all().then((jobs) => jobs.map(listenerOf)) };
      this.#list = list;
      list.value.catch(() => this.#list === list && (this.#list = undefined));
    }
    return await this.#list.value;
  }

  #remember(jobId: string, known: Known<Listener | undefined>): void {
    this.#jobs.delete(jobId);
    this.#jobs.set(jobId, known);
    known.value.catch(() => this.#jobs.get(jobId) === known && this.#jobs.delete(jobId));
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > MOST && oldest !== undefined) this.#jobs.delete(oldest);
  }

  #isOlder({ at }: Known<unknown>, ageMs: number): boolean {
    return this.#now() - at > ageMs;
  }
}

/**
 * Tells each trigger to every job that listens. What a job has not taken when it ends is told to those that listen by then: where another job takes
 * its place, and was listed before it ended, nothing falls between the two, however old a list is.
 *
 * @param listening which jobs are told about an audience; from a list made anew after a job has ended.
 * @param tell resolves with how many of them the job took, from the first on: fewer than all when it has ended.
 * @returns those that no job took.
 * @throws what `tell` throws, once all are over.
 */
export async function tellListeners(
  triggers: readonly CheckedTrigger[],
  listening: (audience: string) => Promise<readonly string[]>,
  tell: (jobId: string, triggers: readonly CheckedTrigger[]) => Promise<number>,
): Promise<CheckedTrigger[]> {
  const untaken = new Set(triggers);
  /** By audience. */
  const told = new Map<string, Set<string>>();
  for (let rest: readonly CheckedTrigger[] = triggers; rest.length > 0;) {
    const ofJob = new Map<string, CheckedTrigger[]>();
    const toTell = new Map<string, readonly string[]>();
    for (const one of rest) {
      const { audience } = one.trigger;
      const before = told.get(audience) ?? new Set();
      const jobIds = toTell.get(audience) ?? (await listening(audience)).filter((jobId) => !before.has(jobId));
      toTell.set(audience, jobIds);
      for (const jobId of jobIds) {
        const own = ofJob.get(jobId);
        if (own === undefined) ofJob.set(jobId, [one]);
        else own.push(one);
      }
    }
    for (const [audience, jobIds] of toTell) told.set(audience, new Set([...(told.get(audience) ?? []), ...jobIds]));
    const left = new Set<CheckedTrigger>();
    const telling = [...ofJob].map(async ([jobId, own]) => {
      const taken = await tell(jobId, own);
      for (const one of own.slice(0, taken)) untaken.delete(one);
      for (const one of own.slice(taken)) left.add(one);
    });
    for (const end of await Promise.allSettled(telling)) if (end.status === 'rejected') throw end.reason;
    rest = triggers.filter((one) => left.has(one));
  }
  return [...untaken];
}

/** Why a trigger is not one of the job's. */
export function unheardText(jobId: string, audience: string, job: Listener | undefined): string {
  const near = nearestKey(audience, [...(job?.audiences ?? [])]);
  return `the job "${jobId}" does not listen to "${audience}"${near === undefined ? '' : `. Did you mean "${near}"?`}`;
}

interface Known<T> {
  readonly at: number;
  readonly value: Promise<T>;
}

/** A job that says nothing of its audiences was started by a foreign client, and has not been checked yet. */
function listenerOf({ jobId, audiences }: ListeningJob): Listener {
  return { jobId, audiences: audiences === null || audiences.length === 0 ? null : new Set(audiences) };
}
