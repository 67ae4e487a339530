import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { LostRounds } from './sandbox/watch.ts';
import { isSame, readSummed, sumOf, writeSummed } from '../../snapshots/member-files.ts';

/** A round that jobs have missed. Its changes are in a separate file beside it. */
const roundSchema = z.strictObject({
  scanId: z.string(),
  at: z.string(),
  sum: z.tuple([z.int(), z.int()]).readonly(),
  /** Jobs that have yet to get it, and how many of its changes each has. */
  missedBy: z.record(z.string(), z.int()),
});
type Round = z.infer<typeof roundSchema>;

const fileSchema = z.strictObject({
  v: z.literal(1),
  /** Jobs that got the last round with changes, or have yet to get it. */
  subscribers: z.array(z.string()),
  /** Oldest first. */
  rounds: z.array(roundSchema),
  lost: z.array(z.strictObject({ jobId: z.string(), from: z.string(), to: z.string() })),
});

const FILE = 'missed.json';
/** Most missed rounds that are kept, and most bytes of their changes. */
const MOST_ROUNDS = 500;
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_LOST = 20;

/** The rounds missed by jobs that were not running, in a file of the audience's folder. A job that has missed one is behind. */
export class MissedRounds {
  readonly #folder: string;
  #subscribers: string[];
  #rounds: Round[];
  #lost: LostRounds[];
  /** Rounds that no job misses any more. */
  readonly #dropped: string[] = [];
  #saving: Promise<void> = Promise.resolve();

  static async open(audienceFolder: string): Promise<MissedRounds> {
    const { data } = fileSchema.safeParse(await readSummed(join(audienceFolder, FILE)));
    return new MissedRounds(audienceFolder, data ?? { v: 1, subscribers: [], rounds: [], lost: [] });
  }

  private constructor(folder: string, { subscribers, rounds, lost }: z.infer<typeof fileSchema>) {
    this.#folder = folder;
    this.#subscribers = subscribers;
    this.#rounds = rounds;
    this.#lost = lost;
  }

  /** Jobs that are behind, or got the last round. */
  get known(): ReadonlySet<string> {
    return new Set([...this.#subscribers, ...this.behind]);
  }

  /** Jobs that have missed rounds and can still get them. */
  get behind(): string[] {
    return [...new Set(this.#rounds.flatMap(({ missedBy }) => Object.keys(missedBy)))].sort();
  }

  /** The missed rounds that can no longer be published. */
  get lost(): readonly LostRounds[] {
    return this.#lost;
  }

  /** Sets the jobs that get the current round. */
  setSubscribers(jobIds: readonly string[]): void {
    this.#subscribers = [...jobIds];
  }

  /** The rounds that a job has missed, oldest first, and how many changes of each it has. */
  roundsOf(jobId: string): { readonly at: string; readonly scanId: string; readonly from: number }[] {
    return this.#rounds.flatMap(({ at, scanId, missedBy }) => {
      const from = missedBy[jobId];
      return from === undefined ? [] : [{ at, scanId, from }];
    });
  }

  /** The path to the changes of a missed round; undefined when they are damaged. */
  async changesOf(scanId: string): Promise<string | undefined> {
    const path = this.#path(scanId);
    const sum = await sumOf(path).catch(() => undefined);
    const round = this.#rounds.find((one) => one.scanId === scanId);
    return sum !== undefined && round !== undefined && isSame(sum, round.sum) ? path : undefined;
  }

  /** Records that a job has missed this round from its change `from` on. */
  async miss(jobId: string, { scanId, at, changes }: { scanId: string; at: string; changes: string }, from: number) {
    // The sum of the original: several jobs may miss it at once, and each copies the same file.
    const sum = await sumOf(changes);
    await copyFile(changes, this.#path(scanId));
    const known = this.#rounds.find((one) => one.scanId === scanId);
    if (known === undefined) this.#rounds.push({ scanId, at, sum, missedBy: { [jobId]: from } });
    else known.missedBy[jobId] = from;
    while (this.#rounds.length > MOST_ROUNDS || this.#bytes > MOST_BYTES) {
      const [oldest] = this.#rounds;
      for (const one of Object.keys(oldest?.missedBy ?? {})) this.lose(one);
      this.#dropReceived();
    }
  }

  /** Records that a job has a round that it had missed. */
  reach(jobId: string, scanId: string): void {
    for (const round of this.#rounds) if (round.scanId === scanId) delete round.missedBy[jobId];
  }

  /** A job cannot run again: it misses nothing any more. */
  forget(jobId: string): void {
    this.#subscribers = this.#subscribers.filter((one) => one !== jobId);
    for (const { missedBy } of this.#rounds) delete missedBy[jobId];
  }

  /** A job's missed rounds are lost: it cannot get all of them, and a part would be worse than none. */
  lose(jobId: string): void {
    const missed = this.roundsOf(jobId);
    const [from, to] = [missed.at(0)?.at, missed.at(-1)?.at];
    if (from !== undefined && to !== undefined) this.#lost = [...this.#lost, { jobId, from, to }].slice(-MOST_LOST);
    for (const { missedBy } of this.#rounds) delete missedBy[jobId];
  }

  /** Writes all of it, one after another. */
  async save(): Promise<void> {
    const write = async (): Promise<void> => {
      const state = { v: 1, subscribers: this.#subscribers, rounds: this.#rounds.filter(isMissed), lost: this.#lost };
      await writeSummed(join(this.#folder, FILE), state);
    };
    this.#saving = this.#saving.then(write, write);
    await this.#saving;
  }

  /** Removes rounds that no job misses any more; call it after `save`. */
  async tidy(): Promise<void> {
    this.#dropReceived();
    for (const scanId of this.#dropped.splice(0)) await rm(this.#path(scanId), { force: true });
  }

  #dropReceived(): void {
    this.#dropped.push(...this.#rounds.filter((round) => !isMissed(round)).map(({ scanId }) => scanId));
    this.#rounds = this.#rounds.filter(isMissed);
  }

  get #bytes(): number {
    return this.#rounds.reduce((sum, round) => sum + round.sum[0], 0);
  }

  #path(scanId: string): string {
    return join(this.#folder, `missed-${scanId}`);
  }
}

function isMissed({ missedBy }: Round): boolean {
  return Object.keys(missedBy).length > 0;
}
