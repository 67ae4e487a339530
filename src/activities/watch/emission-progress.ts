import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isMissing, writeWhole } from './snapshot.ts';

/** Often enough that little is told again after a crash. */
const SAVE_EVERY_MS = 1_000;

/**
 * How many of a round's triggers each job has, in a file beside them: whoever goes on after a crash begins there. What it says is true of the jobs, if perhaps
 * too little; so that two who write it do no harm.
 */
export class EmissionProgress {
  readonly #path: string;
  readonly #accepted: Map<string, number>;
  #saving: Promise<void> = Promise.resolve();
  #savedAt = -Infinity;

  static async open(path: string): Promise<EmissionProgress> {
    try {
      const read = z.record(z.string(), z.int()).safeParse(JSON.parse(await readFile(path, 'utf8')));
      return new EmissionProgress(path, new Map(Object.entries(read.data ?? {})));
    } catch (error) {
      // Telling from the start again does no harm, only repeats.
      if (error instanceof SyntaxError || isMissing(error)) return new EmissionProgress(path, new Map());
      throw error;
    }
  }

  private constructor(path: string, accepted: Map<string, number>) {
    this.#path = path;
    this.#accepted = accepted;
  }

  /** How many of the triggers the job has, from the first on. */
  of(jobId: string): number {
    return this.#accepted.get(jobId) ?? 0;
  }

  set(jobId: string, accepted: number): void {
    if (accepted === this.of(jobId)) return;
    this.#accepted.set(jobId, accepted);
    const now = performance.now();
    if (now - this.#savedAt < SAVE_EVERY_MS) return;
    this.#savedAt = now;
    this.#save();
  }

  /** Writes all of it; rejects when any write failed. */
  async close(): Promise<void> {
    this.#save();
    await this.#saving;
  }

  #save(): void {
    const write = () => writeWhole(this.#path, JSON.stringify(Object.fromEntries(this.#accepted)));
    this.#saving = this.#saving.then(write);
    this.#saving.catch(() => undefined); // `close` says it.
  }
}
