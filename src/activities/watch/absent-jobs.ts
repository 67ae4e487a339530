import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { MissedRounds } from '../../contract/watch.ts';
import { isSame, readSummed, sumOf, writeSummed } from './snapshot.ts';

/** A round that jobs have missed. Its changes are in a separate file beside it. */
const roundSchema = z.strictObject({
  scanId: z.string(),
  at: z.string(),
  sum: z.tuple([z.int(), z.int()]).readonly(),
  /** Jobs that have yet to get it, and how many of its changes each has. */
  missedBy: z.record(z.string(), z.int()),
});
type Round = z.infer<typeof roundSchema>;

const absentSchema = z.strictObject({
  v: z.literal(1),
  /** Jobs that got the last round with changes, or have yet to get it. */
  subscribers: z.array(z.string()),
  /** Oldest first. */
  rounds: z.array(roundSchema),
  lost: z.array(z.strictObject({ jobId: z.string(), from: z.string(), to: z.string() })),
});

const FILE = 'absent.json';
/** Most rounds that are kept for absent jobs, and most bytes of their changes. */
const MOST_ROUNDS = 500;
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_LOST = 20;

/** The changes missed by jobs that were not running during a round, in a file of the audience's folder. */
export class AbsentJobs {
  readonly #folder: string;
  #subscribers: string[];
  #rounds: Round[];
  #lost: MissedRounds[];
  /** Rounds that are no longer owed to any job. */
  readonly #dropped: string[] = [];
  #saving: Promise<void> = Promise.resolve();

  static async open(audienceFolder: string): Promise<AbsentJobs> {
    const { data } = absentSchema.safeParse(await readSummed(join(audienceFolder, FILE)));
    return new AbsentJobs(audienceFolder, data ?? { v: 1, subscribers: [], rounds: [], lost: [] });
  }

  private constructor(folder: string, { subscribers, rounds, lost }: z.infer<typeof absentSchema>) {
    this.#folder = folder;
    this.#subscribers = subscribers;
    this.#rounds = rounds;
    this.#lost = lost;
  }

  /** Jobs that are owed a round, or got the last one. */
  get known(): ReadonlySet<string> {
    return new Set([...this.#subscribers, ...this.owed]);
  }

  /** Jobs that are owed a round. */
  get owed(): string[] {
    return [...new Set(this.#rounds.flatMap(({ missedBy }) => Object.keys(missedBy)))].sort();
  }

  /** The missed rounds that can no longer be signalled. */
  get lost(): readonly MissedRounds[] {
    return this.#lost;
  }

  /** Sets the jobs that get the current round. */
  setSubscribers(jobIds: readonly string[]): void {
    this.#subscribers = [...jobIds];
  }

  /** The rounds that a job is owed, oldest first, and how many changes of each it has. */
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
      this.#unowed();
    }
  }

  /** Records that a job has a round that it had missed. */
  reach(jobId: string, scanId: string): void {
    for (const round of this.#rounds) if (round.scanId === scanId) delete round.missedBy[jobId];
  }

  /** A job cannot come back, and is no longer owed anything. */
  forget(jobId: string): void {
    this.#subscribers = this.#subscribers.filter((one) => one !== jobId);
    for (const { missedBy } of this.#rounds) delete missedBy[jobId];
  }

  /** A job's missed rounds cannot be signalled: a part of them would be worse than none. */
  lose(jobId: string): void {
    const missed = this.roundsOf(jobId);
    const [from, to] = [missed.at(0)?.at, missed.at(-1)?.at];
    if (from !== undefined && to !== undefined) this.#lost = [...this.#lost, { jobId, from, to }].slice(-MOST_LOST);
    for (const { missedBy } of this.#rounds) delete missedBy[jobId];
  }

  /** Writes all of it, one after another. */
  async save(): Promise<void> {
    const write = async (): Promise<void> => {
      const state = { v: 1, subscribers: this.#subscribers, rounds: this.#rounds.filter(isOwed), lost: this.#lost };
      await writeSummed(join(this.#folder, FILE), state);
    };
    this.#saving = this.#saving.then(write, write);
    await this.#saving;
  }

  /** Removes rounds that are no longer owed to any job; call it after `save`. */
  async tidy(): Promise<void> {
    this.#unowed();
    for (const scanId of this.#dropped.splice(0)) await rm(this.#path(scanId), { force: true });
  }

  #unowed(): void {
    this.#dropped.push(...this.#rounds.filter((round) => !isOwed(round)).map(({ scanId }) => scanId));
    this.#rounds = this.#rounds.filter(isOwed);
  }

  get #bytes(): number {
    return this.#rounds.reduce((sum, round) => sum + round.sum[0], 0);
  }

  #path(scanId: string): string {
    return join(this.#folder, `missed-${scanId}`);
  }
}

function isOwed({ missedBy }: Round): boolean {
  return Object.keys(missedBy).length > 0;
}
