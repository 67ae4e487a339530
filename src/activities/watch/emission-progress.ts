import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isMissing, writeWhole } from './snapshot.ts';

/** Often enough that little is repeated after a crash. */
const SAVE_EVERY_MS = 1_000;

/**
 * How many of a round's triggers each job has received, in a file beside them, from which another attempt continues after a crash. It never
 * says too much, at most too little, so two writers do no harm.
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
      // Starting over does no harm: it only repeats triggers.
      if (error instanceof SyntaxError || isMissing(error)) return new EmissionProgress(path, new Map());
      throw error;
    }
  }

  private constructor(path: string, accepted: Map<string, number>) {
    this.#path = path;
    this.#accepted = accepted;
  }

  /** How many of the triggers the job has received, counted from the first. */
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
