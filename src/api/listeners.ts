import type { ListeningJob } from '../client/push/publish.ts';

/** A running job, and how its audiences may be named; null when that cannot be read here. */
export type Listener = { readonly jobId: string; readonly audiences: ReadonlySet<string> | null };

/** How old, in ms, the list may be for a name that is on it; and for one that is not, since a job or an audience may have come since. */
const LIST_AGE_MS = 10_000;
const DOUBT_AGE_MS = 1_000;

/** The running jobs and what they listen to. One list serves all requests, and is made anew when it is old. */
export class Listeners {
  readonly #list: () => Promise<readonly ListeningJob[]>;
  readonly #now: () => number;
  #jobs: ReadonlyMap<string, Listener> = new Map();
  #listedAt = -Infinity;
  #listing: Promise<void> | undefined;

  /** @param now ms by a clock that is never set. */
  constructor(list: () => Promise<readonly ListeningJob[]>, now: () => number = () => performance.now()) {
    this.#list = list;
    this.#now = now;
  }

  /** The job with this id, if it runs. */
  async job(jobId: string): Promise<Listener | undefined> {
    await this.#noOlderThan(LIST_AGE_MS);
    if (!this.#jobs.has(jobId)) await this.#noOlderThan(DOUBT_AGE_MS);
    return this.#jobs.get(jobId);
  }

  /** The jobs that listen to an audience, and any of which that is not known. */
  async of(audience: string): Promise<readonly Listener[]> {
    await this.#noOlderThan(LIST_AGE_MS);
    const listening = () => [...this.#jobs.values()].filter(({ audiences }) => audiences?.has(audience) === true);
    const found = listening();
    if (found.length > 0) return found;
    await this.#noOlderThan(DOUBT_AGE_MS);
    return listening();
  }

  /** Whether the job listens to the audience, by a list that is new enough to say no. */
  async listens(jobId: string, audience: string): Promise<boolean> {
    const isListening = async () => (await this.job(jobId))?.audiences?.has(audience) !== false;
    if (await isListening()) return true;
    await this.#noOlderThan(DOUBT_AGE_MS);
    return await isListening();
  }

  /** A job was started, changed or stopped. */
  forget(): void {
    this.#listedAt = -Infinity;
  }

  async #noOlderThan(ms: number): Promise<void> {
    if (this.#now() - this.#listedAt <= ms) return;
    this.#listing ??= this.#look().finally(() => (this.#listing = undefined));
    await this.#listing;
  }

  async #look(): Promise<void> {
    const began = this.#now();
    const jobs = await this.#list();
    this.#jobs = new Map(
      jobs.map(({ jobId, audiences }) => [jobId, { jobId, audiences: audiences && new Set(audiences) }]),
    );
    this.#listedAt = began;
  }
}
