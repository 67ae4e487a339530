import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { z } from 'zod';
import type { Activities } from '../../contract/ports.ts';
import type { EventTrigger, TriggerEvent } from '../../contract/trigger.ts';
import type { EmissionReport } from '../../contract/watch.ts';
import { withOffset } from '../../domain/instant.ts';
import { beating } from '../beating.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { AbsentJobs } from './absent-jobs.ts';
import { alive, type WatchDependencies } from './scan-members.ts';
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
} from './snapshot.ts';

/** Often enough that little is repeated after a crash. */
const SAVE_EVERY_MS = 1_000;

/**
 * How many of a round's triggers each job has received, in a file beside them. Another attempt continues from it after a crash. The numbers are never
 * too high, at most too low, so two writers do no harm.
 */
export class EmissionProgress {
  readonly #path: string;
  readonly #accepted: Map<string, number>;
  #saving: Promise<void> = Promise.resolve();
  #savedAt = -Infinity;

  static async open(path: string): Promise<EmissionProgress> {
    const read = z.record(z.string(), z.int()).safeParse(await readSummed(path));
    // Starting over does no harm: it only repeats triggers.
    return new EmissionProgress(path, new Map(Object.entries(read.data ?? {})));
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

/** How many point look-ups the source gets at once. */
const LOOK_UPS = 16;
/** People per step; a step is recorded as a whole. */
const STEP = 1_000;

/**
 * The activity that asks the source about each person whom a scan did not see. A page may miss people while members come and go. Only people whom the
 * source itself does not call members have left. Writes the changes to signal, and adds everybody else to the snapshot.
 */
export function createConfirmExits({ source, watchFolder }: WatchDependencies): Activities['confirmExits'] {
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
      const isMember = new Set<string>();
      await forEachLimit(users, LOOK_UPS, async (user) => {
        if (await source.isMember(audience, user)) isMember.add(user);
        // A look-up may take the source long.
        alive();
      });
      const left = users.filter((user) => !isMember.has(user));
      await stayed.add(isMember);
      await appendFile(scan.path(CHANGES), changeLines('exit', left));
      sum.exits += left.length;
      sum.stayed += isMember.size;
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
   * `at` may be signalled twice.
   * @param signal when aborted, nothing more is sent.
   * @param onAccepted called whenever the job has accepted more, and while waiting for it, with the number of triggers that it has.
   * @throws when they cannot be signalled to it now.
   */
  publish(
    jobId: string,
    triggers: AsyncIterable<EventTrigger>,
    signal: AbortSignal,
    onAccepted: (accepted: number) => void,
  ): Promise<boolean>;
}

export interface EmitDependencies extends Pick<WatchDependencies, 'watchFolder'> {
  readonly subscribers: Subscribers;
  /** Whether this worker was frozen until a moment ago: a task that it receives may then be stale. */
  readonly hasStalled: () => boolean;
}

/** How many jobs are signalled at once. */
const JOBS_AT_ONCE = 8;
/** How many of the jobs that could not be signalled a message names. */
const NAMED = 3;
const UNREADABLE_NAMED = 20;

/**
 * The activity that signals a round's changes to every running job that subscribes. Each job gets all of them in the same order and with the same
 * `at`, however often this is retried. A job that cannot be signalled now does not hold up the others. A job that does not run, but may run again,
 * gets them then.
 *
 * @throws ApplicationFailure of type JobsNotReached
 */
export function createEmitChanges(dependencies: EmitDependencies): Activities['emitChanges'] {
  const { watchFolder, subscribers } = dependencies;
  return async (audience, scanId, at) => {
    const folder = audienceFolder(watchFolder, audience);
    const scan = new Snapshot(folder, scanId);
    const changes = await scan.whole(await scan.sealed(), CHANGES);
    const progress = await EmissionProgress.open(scan.path('progress.json'));
    const absent = await AbsentJobs.open(folder);
    const { jobIds, stopping, unreadable } = await subscribers.of(audience);
    const round = { scanId, at, changes };
    const away = [...absent.known, ...stopping, ...(await subscribers.kept(audience))];
    for (const jobId of new Set(away.filter((one) => !jobIds.includes(one) && !unreadable.includes(one)))) {
      if (!(await subscribers.mayReturn(jobId))) absent.forget(jobId);
      // The job has these changes of this round from an earlier try.
      else if (absent.roundsOf(jobId).every((one) => one.scanId !== scanId))
        await absent.miss(jobId, round, progress.of(jobId));
    }
    absent.setSubscribers(jobIds);
    // This comes before any job gets the round: a job that comes back meanwhile is owed it.
    await absent.save();
    const publisher = new ChangePublisher(dependencies, audience, absent);
    const listed = new Set(jobIds);
    let from = 0;
    for (let next = jobIds; next.length > 0;) {
      /** How much of the round was accepted by each job that has ended meanwhile. */
      const ended: number[] = [];
      await publisher.publishAll(next, async (jobId) => {
        const isOwed = absent.roundsOf(jobId).some((one) => one.scanId === scanId);
        if (from > progress.of(jobId)) progress.set(jobId, from);
        if (await publisher.catchUp(jobId)) {
          const begin = progress.of(jobId);
          const onAccepted = (accepted: number): void => progress.set(jobId, begin + accepted);
          if (isOwed || (await publisher.publish(jobId, changes, { at, from: begin, onAccepted }))) return;
        }
        ended.push(progress.of(jobId));
        if (!isOwed) await absent.miss(jobId, round, progress.of(jobId));
      });
      // A job that was started since may have replaced one that has ended.
      next = ended.length === 0 ? [] : (await subscribers.of(audience)).jobIds.filter((jobId) => !listed.has(jobId));
      from = Math.min(...ended);
      for (const jobId of next) listed.add(jobId);
      absent.setSubscribers([...listed]);
    }
    await progress.close();
    return await publisher.report(listed.size, unreadable);
  };
}

/**
 * The activity that signals missed changes to jobs that run again, in rounds without other changes.
 *
 * @throws ApplicationFailure of type JobsNotReached
 */
export function createPublishMissed(dependencies: EmitDependencies): Activities['publishMissed'] {
  const { watchFolder, subscribers } = dependencies;
  return async (audience) => {
    const absent = await AbsentJobs.open(audienceFolder(watchFolder, audience));
    const { jobIds, unreadable } = await subscribers.of(audience);
    const back = absent.owed.filter((jobId) => jobIds.includes(jobId));
    for (const jobId of absent.owed)
      if (!jobIds.includes(jobId) && !unreadable.includes(jobId) && !(await subscribers.mayReturn(jobId)))
        absent.forget(jobId);
    const publisher = new ChangePublisher(dependencies, audience, absent);
    await publisher.publishAll(back, async (jobId) => void (await publisher.catchUp(jobId)));
    return await publisher.report(back.length, unreadable);
  };
}

/** Signals changes to several jobs at once, and records those that ended jobs have missed. */
class ChangePublisher {
  readonly #dependencies: EmitDependencies;
  readonly #audience: string;
  readonly #absent: AbsentJobs;
  readonly #failures: string[] = [];
  readonly #context = Context.current();

  constructor(dependencies: EmitDependencies, audience: string, absent: AbsentJobs) {
    this.#dependencies = dependencies;
    this.#audience = audience;
    this.#absent = absent;
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

  /** Signals missed changes to a job, round by round; false when it has ended meanwhile. */
  async catchUp(jobId: string): Promise<boolean> {
    for (const { scanId, at, from } of this.#absent.roundsOf(jobId)) {
      const changes = await this.#absent.changesOf(scanId);
      if (changes === undefined) {
        this.#absent.lose(jobId);
        break;
      }
      if (!(await this.publish(jobId, changes, { at, from, onAccepted: () => undefined }))) return false;
      this.#absent.reach(jobId, scanId);
      // Without this, a crash would have all of it signalled again.
      await this.#absent.save();
    }
    return true;
  }

  /** @throws ApplicationFailure of type JobsNotReached */
  async report(jobs: number, unreadable: readonly string[]): Promise<EmissionReport> {
    await this.#absent.save();
    await this.#absent.tidy();
    alive();
    if (this.#failures.length > 0) throw notReached(this.#failures);
    const { owed, lost } = this.#absent;
    return {
      jobs,
      unreadable: unreadable.slice(0, UNREADABLE_NAMED),
      ...(owed.length === 0 ? {} : { absent: owed.slice(0, UNREADABLE_NAMED) }),
      ...(lost.length === 0 ? {} : { lost }),
    };
  }
}

interface Emission {
  readonly audience: string;
  readonly at: string;
  /** How many to skip. */
  readonly from: number;
  readonly hasStalled: () => boolean;
}

async function* triggersOf(path: string, { audience, at, from, hasStalled }: Emission): AsyncGenerator<EventTrigger> {
  let place = 0;
  for await (const line of fileLines(path)) {
    if (place++ < from) continue;
    // Another worker may have signalled all of this meanwhile, and newer changes since. Older changes must not come after those.
    if (hasStalled()) throw new Error('This worker was frozen for a while; the round is continued.');
    const [event, user] = JSON.parse(line) as [TriggerEvent, string]; // `confirmExits` wrote it.
    yield { audience, user, event, at: withOffset(at) };
  }
}

function notReached(failures: readonly string[]): ApplicationFailure {
  const more = failures.length > NAMED ? ` And ${failures.length - NAMED} more.` : '';
  return ApplicationFailure.create({
    message: `Some jobs could not be reached and are tried again; all others have the changes. ${failures.slice(0, NAMED).join(' ')}${more}`,
    type: 'JobsNotReached',
  });
}
