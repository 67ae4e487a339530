import { alive } from '../../activities/beating.ts';
import { confirmedMembers } from '../../snapshots/reading.ts';
import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { z } from 'zod';
import type { EventTrigger, TriggerEvent } from '../../contract/trigger.ts';
import type { PublishReport } from './sandbox/watch.ts';
import { withOffset } from '../../domain/instant.ts';
import { beating } from '../../activities/beating.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { MissedRounds } from './missed-rounds.ts';
import { type WatchDependencies } from './scan-members.ts';
import {
  audienceFolder,
  changeLines,
  CHANGES,
  ENTERS,
  EXITS,
  MemberBuckets,
  fileLines,
  readSummed,
  Snapshot,
  STAYED,
  writeSummed,
} from '../../snapshots/member-files.ts';
import type { WatchActivities } from './sandbox/ports.ts';

/** Often enough that little is repeated after a crash. */
const SAVE_EVERY_MS = 1_000;

/**
 * How many of a round's triggers each job has received, in a file beside them. Another attempt continues from it after a crash. The numbers are never
 * too high, at most too low, so two writers do no harm.
 */
class PublishProgress {
  readonly #path: string;
  readonly #accepted: Map<string, number>;
  #saving: Promise<void> = Promise.resolve();
  #savedAt = -Infinity;

  static async open(path: string): Promise<PublishProgress> {
    const read = z.record(z.string(), z.int()).safeParse(await readSummed(path));
    // Starting over does no harm: it only repeats triggers.
    return new PublishProgress(path, new Map(Object.entries(read.data ?? {})));
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
    const write = () => writeSummed(this.#path, Object.fromEntries(this.#accepted));
    this.#saving = this.#saving.then(write);
    this.#saving.catch(() => undefined); // `close` reports it.
  }
}

/** People per step; a step is recorded as a whole. */
const STEP = 1_000;

/**
 * The activity that asks the source about each person whom a scan did not see. A page may miss people while members come and go. Only people whom the
 * source itself does not call members have left. Writes the changes to publish. Everybody else has stayed, and is added to the snapshot.
 */
export function createConfirmExits({ source, watchFolder }: WatchDependencies): WatchActivities['confirmExits'] {
  return async (audience, scanId) => {
    const scan = new Snapshot(audienceFolder(watchFolder, audience), scanId);
    const manifest = await scan.sealed();
    const [exits, enters] = [await scan.whole(manifest, EXITS), await scan.whole(manifest, ENTERS)];
    // An earlier attempt may have done half of this.
    for (const name of await readdir(scan.folder)) if (name.startsWith(STAYED)) await rm(scan.path(name));
    await writeFile(scan.path(CHANGES), '');
    const sum = { enters: 0, exits: 0, stayed: 0 };
    const stayed = new MemberBuckets(scan.folder, STAYED);

    for await (const users of steps(exits)) {
      const members = await confirmedMembers(source, audience, users);
      const left = users.filter((user) => !members.has(user));
      await stayed.add(members);
      await appendFile(scan.path(CHANGES), changeLines('exit', left));
      sum.exits += left.length;
      sum.stayed += members.size;
      alive();
    }
    for await (const users of steps(enters)) {
      await appendFile(scan.path(CHANGES), changeLines('enter', users));
      sum.enters += users.length;
      alive();
    }
    const files = { ...manifest.files, [CHANGES]: await scan.sum(CHANGES) };
    await scan.seal({ members: manifest.members, stayed: await stayed.close(), files });
    return sum;
  };
}

async function* steps(path: string): AsyncGenerator<string[]> {
  let users: string[] = [];
  for await (const line of fileLines(path)) {
    users.push(JSON.parse(line) as string); // The scan wrote it.
    if (users.length < STEP) continue;
    yield users;
    users = [];
  }
  if (users.length > 0) yield users;
}

/** The running jobs that subscribe to an audience. */
export interface FoundSubscribers {
  readonly jobIds: readonly string[];
  /** Jobs that are stopping and left out of `jobIds`, since others subscribe. */
  readonly stopping: readonly string[];
  /** Running jobs that are encrypted with a key that is not here. It is unknown whether they subscribe. */
  readonly unreadable: readonly string[];
}

/** The jobs that changes are published to, as activities reach them. */
export interface Subscribers {
  of(audience: string): Promise<FoundSubscribers>;
  /** The stopped jobs that subscribe to an audience and kept their backlog: they may run again. */
  kept(audience: string): Promise<readonly string[]>;
  /** Whether a job that does not run may continue from where it was. */
  mayReturn(jobId: string): Promise<boolean>;
  /**
   * Signals triggers to a job in their order. Resolves when it has them all, or has ended: false. A trigger of the same person, audience, event and
   * `at` may be published twice.
   * @param signal when aborted, nothing more is sent.
   * @param onAccepted called whenever the job has accepted more, and while waiting for it, with the number of triggers that it has.
   * @throws when the job cannot be reached now.
   */
  publish(
    jobId: string,
    triggers: AsyncIterable<EventTrigger>,
    signal: AbortSignal,
    onAccepted: (accepted: number) => void,
  ): Promise<boolean>;
}

export interface PublishDependencies extends Pick<WatchDependencies, 'watchFolder'> {
  readonly subscribers: Subscribers;
  /** Whether this worker was frozen until a moment ago: a task that it receives may then be stale. */
  readonly hasStalled: () => boolean;
}

/** How many jobs get changes at once. */
const JOBS_AT_ONCE = 8;
/** How many of the jobs that could not be reached a message names. */
const NAMED = 3;
const UNREADABLE_NAMED = 20;

/**
 * The activity that publishes a round's changes to every running job that subscribes. Each job gets all of them in the same order and with the same
 * `at`, however often this is retried. A job that cannot be reached now does not hold up the others. A job that does not run, but may run again,
 * gets the round then.
 *
 * @throws ApplicationFailure of type JobsNotReached
 */
export function createPublishChanges(dependencies: PublishDependencies): WatchActivities['publishChanges'] {
  const { watchFolder, subscribers } = dependencies;
  return async (audience, scanId, at) => {
    const folder = audienceFolder(watchFolder, audience);
    const scan = new Snapshot(folder, scanId);
    const changes = await scan.whole(await scan.sealed(), CHANGES);
    const progress = await PublishProgress.open(scan.path('progress.json'));
    const missed = await MissedRounds.open(folder);
    const { jobIds, stopping, unreadable } = await subscribers.of(audience);
    const round = { scanId, at, changes };
    const notRunning = [...missed.known, ...stopping, ...(await subscribers.kept(audience))];
    for (const jobId of new Set(notRunning.filter((one) => !jobIds.includes(one) && !unreadable.includes(one)))) {
      if (!(await subscribers.mayReturn(jobId))) missed.forget(jobId);
      // The job has these changes of this round from an earlier try.
      else if (missed.roundsOf(jobId).every((one) => one.scanId !== scanId))
        await missed.miss(jobId, round, progress.of(jobId));
    }
    missed.setSubscribers(jobIds);
    // This comes before any job gets the round: a job that runs again meanwhile has missed it.
    await missed.save();
    const publisher = new ChangePublisher(dependencies, audience, missed);
    const listed = new Set(jobIds);
    let from = 0;
    for (let next = jobIds; next.length > 0;) {
      /** How much of the round was accepted by each job that has ended meanwhile. */
      const ended: number[] = [];
      await publisher.publishAll(next, async (jobId) => {
        const hasMissedIt = missed.roundsOf(jobId).some((one) => one.scanId === scanId);
        if (from > progress.of(jobId)) progress.set(jobId, from);
        if (await publisher.catchUp(jobId)) {
          const begin = progress.of(jobId);
          const onAccepted = (accepted: number): void => progress.set(jobId, begin + accepted);
          if (hasMissedIt || (await publisher.publish(jobId, changes, { at, from: begin, onAccepted }))) return;
        }
        ended.push(progress.of(jobId));
        if (!hasMissedIt) await missed.miss(jobId, round, progress.of(jobId));
      });
      // A job that was started since may have replaced one that has ended.
      next = ended.length === 0 ? [] : (await subscribers.of(audience)).jobIds.filter((jobId) => !listed.has(jobId));
      from = Math.min(...ended);
      for (const jobId of next) listed.add(jobId);
      missed.setSubscribers([...listed]);
    }
    await progress.close();
    return await publisher.report(listed.size, unreadable);
  };
}

/**
 * The activity that publishes missed rounds to jobs that run again, when the current round has no changes.
 *
 * @throws ApplicationFailure of type JobsNotReached
 */
export function createPublishMissed(dependencies: PublishDependencies): WatchActivities['publishMissed'] {
  const { watchFolder, subscribers } = dependencies;
  return async (audience) => {
    const missed = await MissedRounds.open(audienceFolder(watchFolder, audience));
    const { jobIds, unreadable } = await subscribers.of(audience);
    const back = missed.behind.filter((jobId) => jobIds.includes(jobId));
    for (const jobId of missed.behind)
      if (!jobIds.includes(jobId) && !unreadable.includes(jobId) && !(await subscribers.mayReturn(jobId)))
        missed.forget(jobId);
    const publisher = new ChangePublisher(dependencies, audience, missed);
    await publisher.publishAll(back, async (jobId) => void (await publisher.catchUp(jobId)));
    return await publisher.report(back.length, unreadable);
  };
}

/** Publishes changes to several jobs at once, and records the rounds that ended jobs miss. */
class ChangePublisher {
  readonly #dependencies: PublishDependencies;
  readonly #audience: string;
  readonly #missed: MissedRounds;
  readonly #failures: string[] = [];
  readonly #context = Context.current();

  constructor(dependencies: PublishDependencies, audience: string, missed: MissedRounds) {
    this.#dependencies = dependencies;
    this.#audience = audience;
    this.#missed = missed;
  }

  async publishAll(jobIds: readonly string[], publish: (jobId: string) => Promise<void>): Promise<void> {
    // A job that accepts nothing may cause a wait; a worker that was frozen notices that by itself.
    const publishOne = async (jobId: string): Promise<void> => {
      try {
        await publish(jobId);
      } catch (error) {
        this.#failures.push(`${jobId}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    await beating(() => forEachLimit(jobIds, JOBS_AT_ONCE, publishOne));
  }

  /** Returns whether the job has all of them, and has not ended. */
  async publish(
    jobId: string,
    changes: string,
    { at, from, onAccepted }: { at: string; from: number; onAccepted: (accepted: number) => void },
  ): Promise<boolean> {
    const { subscribers, hasStalled } = this.#dependencies;
    const triggers = triggersOf(changes, { audience: this.#audience, at, from, hasStalled });
    return await subscribers.publish(jobId, triggers, this.#context.cancellationSignal, onAccepted);
  }

  /** Publishes missed rounds to a job, one after another; false when it has ended meanwhile. */
  async catchUp(jobId: string): Promise<boolean> {
    for (const { scanId, at, from } of this.#missed.roundsOf(jobId)) {
      const changes = await this.#missed.changesOf(scanId);
      if (changes === undefined) {
        this.#missed.lose(jobId);
        break;
      }
      if (!(await this.publish(jobId, changes, { at, from, onAccepted: () => undefined }))) return false;
      this.#missed.reach(jobId, scanId);
      // Without this, a crash would have all of it published again.
      await this.#missed.save();
    }
    return true;
  }

  /** @throws ApplicationFailure of type JobsNotReached */
  async report(jobs: number, unreadable: readonly string[]): Promise<PublishReport> {
    await this.#missed.save();
    await this.#missed.tidy();
    alive();
    if (this.#failures.length > 0) throw notReached(this.#failures);
    const { behind, lost } = this.#missed;
    return {
      jobs,
      unreadable: unreadable.slice(0, UNREADABLE_NAMED),
      ...(behind.length === 0 ? {} : { behind: behind.slice(0, UNREADABLE_NAMED) }),
      ...(lost.length === 0 ? {} : { lost }),
    };
  }
}

interface Publication {
  readonly audience: string;
  readonly at: string;
  /** How many to skip. */
  readonly from: number;
  readonly hasStalled: () => boolean;
}

async function* triggersOf(
  path: string,
  { audience, at, from, hasStalled }: Publication,
): AsyncGenerator<EventTrigger> {
  let place = 0;
  for await (const line of fileLines(path)) {
    if (place++ < from) continue;
    // Another worker may have published all of this meanwhile, and newer changes since. Older changes must not come after those.
    if (hasStalled()) throw new Error('This worker was frozen for a while. Continuing the round.');
    const [event, user] = JSON.parse(line) as [TriggerEvent, string]; // `confirmExits` wrote it.
    yield { audience, user, event, at: withOffset(at) };
  }
}

function notReached(failures: readonly string[]): ApplicationFailure {
  const more = failures.length > NAMED ? ` And ${failures.length - NAMED} more.` : '';
  return ApplicationFailure.create({
    message: `Some jobs could not be reached; retrying. All other jobs have the changes. ${failures.slice(0, NAMED).join(' ')}${more}`,
    type: 'JobsNotReached',
  });
}
