import { areTwins, type Destination } from './twins.ts';

/** How old, in ms, a list may be. The server itself shows a new job up to a second late. */
const KNOWN_MS = 2_000;

/** Where the running jobs of a task queue send. One list serves all jobs that are started within two seconds. */
export class Destinations {
  readonly #list: () => Promise<readonly Destination[]>;
  /** By job id, as listed, and those that were started since. */
  #known: Promise<Map<string, Destination>> | undefined;
  #listedAtMs = 0;

  constructor(list: () => Promise<readonly Destination[]>) {
    this.#list = list;
  }

  /** Adds a job that is about to start. Returns those that send changes of the same audience to the same URL. */
  async add(one: Destination): Promise<string[]> {
    const nowMs = performance.now();
    if (this.#known === undefined || nowMs - this.#listedAtMs > KNOWN_MS) {
      this.#known = this.#list().then((listed) => new Map(listed.map((job) => [job.jobId, job])));
      this.#listedAtMs = nowMs;
    }
    const known = await this.#known.catch((error: unknown) => {
      this.forget();
      throw error;
    });
    const twins = [...known.values()].filter((other) => other.jobId !== one.jobId && areTwins(one, other));
    known.set(one.jobId, one);
    return twins.map(({ jobId }) => jobId);
  }

  /** The next start lists them anew: a job has stopped, or sends elsewhere. */
  forget(): void {
    this.#known = undefined;
  }
}
