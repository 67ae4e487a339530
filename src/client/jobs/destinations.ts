import type { Client } from '@temporalio/client';
import { areTwins, type Destination } from '../../domain/twins.ts';
import { destinationsIn } from './job-list.ts';

/** How old, in ms, a list may be. The server itself shows a new job up to a second late. */
const KNOWN_MS = 2_000;

/** Where the running jobs of a task queue send. One list serves all jobs that are started within two seconds. */
export class Destinations {
  readonly #client: Client;
  readonly #taskQueue: string;
  /** By job id, as listed, and those that were started since. */
  #known: Promise<Map<string, Destination>> | undefined;
  #listedAtMs = 0;

  constructor(client: Client, taskQueue: string) {
    this.#client = client;
    this.#taskQueue = taskQueue;
  }

  /** Adds a job that is about to start. Returns those that send changes of the same audience to the same URL. */
  async add(one: Destination): Promise<string[]> {
    const nowMs = performance.now();
    if (this.#known === undefined || nowMs - this.#listedAtMs > KNOWN_MS) {
      this.#known = this.#list();
      this.#listedAtMs = nowMs;
    }
    const known = await this.#known;
    const twins = [...known.values()].filter((other) => other.jobId !== one.jobId && areTwins(one, other));
    known.set(one.jobId, one);
    return twins.map(({ jobId }) => jobId);
  }

  async #list(): Promise<Map<string, Destination>> {
    const listed = await destinationsIn(this.#client, this.#taskQueue);
    return new Map(listed.map((one) => [one.jobId, one]));
  }
}
