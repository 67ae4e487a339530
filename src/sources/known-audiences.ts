import { SourceError } from '../activities/audience-source.ts';

/** How long a list is trusted for the audiences that it has; for any other, the service is asked at once. */
const TRUSTED_MS = 60_000;

/** The audiences of a service. It is asked for the list once for all callers at the same time. */
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

  /** All of them, as they were within the last minute. */
  async recent(): Promise<readonly T[]> {
    return this.#trusted() ?? (await this.list());
  }

  /** The one with this id; undefined when there is none. */
  async lookUp(id: string): Promise<T | undefined> {
    const isIt = (one: T): boolean => one.id === id;
    return this.#trusted()?.find(isIt) ?? (await this.list()).find(isIt);
  }

  /** @throws SourceError when there is no audience with this id. */
  async find(id: string): Promise<T> {
    const found = await this.lookUp(id);
    if (found !== undefined) return found;
    throw new SourceError(
      `${this.#service} has no audience with the id ${id}. It may have been deleted; edit the job to remove it.`,
    );
  }

  #trusted(): readonly T[] | undefined {
    const { audiences, atMs } = this.#listed ?? { audiences: undefined, atMs: -Infinity };
    return this.#nowMs() - atMs < TRUSTED_MS ? audiences : undefined;
  }

  async #readOnce(): Promise<readonly T[]> {
    const audiences = await this.#read();
    this.#listed = { audiences, atMs: this.#nowMs() };
    return audiences;
  }
}
