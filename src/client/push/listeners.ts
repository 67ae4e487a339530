import type { ListeningJob } from './publish.ts';

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

interface Known<T> {
  readonly at: number;
  readonly value: Promise<T>;
}

/** A job that says nothing of its audiences was started by a foreign client, and has not been checked yet. */
function listenerOf({ jobId, audiences }: ListeningJob): Listener {
  return { jobId, audiences: audiences === null || audiences.length === 0 ? null : new Set(audiences) };
}
