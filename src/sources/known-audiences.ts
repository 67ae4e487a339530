import { SourceError } from './source-error.ts';

/** How long a list is trusted for the audiences that it has; for any other, the service is asked at once. */
const TRUSTED_MS = 60_000;

/** The audiences of a service, which is asked for the list only once by all who want it at the same time. */
export class KnownAudiences<T extends { readonly id: string }> {
  readonly #service: string;
  readonly #read: () => Promise<readonly T[]>;
  readonly #nowMs: () => number;
  #listed: { readonly audiences: readonly T[]; readonly atMs: number } | undefined;
  #reading: Promise<readonly T[]> | undefined;

  /** @param service as people know it, for errors. */
  constructor(service: string, read: () => Promise<readonly T[]>, nowMs: () => number = () => performance.now()) {
    this.#service = service;
    this.#read = read;
    this.#nowMs = nowMs;
  }

  async list(): Promise<readonly T[]> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined;
    });
    return await this.#reading;
  }

  /** @throws SourceError when there is no audience with this id. */
  async find(id: string): Promise<T> {
    const { audiences, atMs } = this.#listed ?? { audiences: [], atMs: -Infinity };
    const known = this.#nowMs() - atMs < TRUSTED_MS ? audiences.find((one) => one.id === id) : undefined;
    const found = known ?? (await this.list()).find((one) => one.id === id);
    if (found !== undefined) return found;
    throw new SourceError(
      `${this.#service} has no audience with the id ${id}. It may have been deleted; "triggers edit" can remove it from a job.`,
    );
  }

  async #readOnce(): Promise<readonly T[]> {
    const audiences = await this.#read();
    this.#listed = { audiences, atMs: this.#nowMs() };
    return audiences;
  }
}
