import type { JobOverview } from '../client/export-jobs.ts';

/** An answer is given again for so long, in ms, and for so many times as long as it took to get. */
const FRESH_MS = 2_000;
const REST_FACTOR = 4;

export interface OverviewAnswer {
  /** Epoch ms: when it was begun. */
  readonly atMs: number;
  readonly jobs: readonly JobOverview[];
}

/** How all jobs are doing, asked for once for all who ask at about the same time: each answer takes a question or two to each job. */
export class SharedOverview {
  readonly #ask: () => Promise<JobOverview[]>;
  readonly #now: () => number;
  #last: { readonly answer: OverviewAnswer; readonly freshUntilMs: number } | undefined;
  #changes = 0;
  #asking: Promise<OverviewAnswer> | undefined;

  constructor(ask: () => Promise<JobOverview[]>, now: () => number = Date.now) {
    this.#ask = ask;
    this.#now = now;
  }

  async get(): Promise<OverviewAnswer> {
    if (this.#last !== undefined && this.#now() < this.#last.freshUntilMs) return this.#last.answer;
    this.#asking ??= this.#askAnew();
    return await this.#asking;
  }

  /** Has the next one who asks be told anew: something was changed. */
  forget(): void {
    this.#changes += 1;
    this.#last = undefined;
    this.#asking = undefined;
  }

  async #askAnew(): Promise<OverviewAnswer> {
    const atMs = this.#now();
    const changes = this.#changes;
    try {
      const answer = { atMs, jobs: await this.#ask() };
      const tookMs = this.#now() - atMs;
      // What was asked before a change is not given to whoever asks after it.
      if (changes === this.#changes)
        this.#last = { answer, freshUntilMs: this.#now() + Math.max(FRESH_MS, REST_FACTOR * tookMs) };
      return answer;
    } finally {
      if (changes === this.#changes) this.#asking = undefined;
    }
  }
}
