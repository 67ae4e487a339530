import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { z } from 'zod';
import type { Activities } from '../../contract/ports.ts';
import type { EventTrigger, TriggerEvent } from '../../contract/trigger.ts';
import { withOffset } from '../../domain/instant.ts';
import { concurrently } from '../concurrently.ts';
import { alive, type WatchDependencies } from './scan-members.ts';
import {
  audienceFolder,
  CHANGES,
  ENTERS,
  EXITS,
  MemberBuckets,
  readLines,
  readSummed,
  Snapshot,
  STAYED,
  writeSummed,
} from './snapshot.ts';

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
    this.#saving.catch(() => undefined); // `close` says it.
  }
}

/** How many point look-ups the source gets at once. */
const LOOK_UPS = 16;
/** People per step; a step is written down as a whole. */
const STEP = 1_000;

/**
 * The activity that asks the source about each person whom a scan did not see. A page may miss somebody while members come and go, so only
 * those whom the source itself calls no members have left. Writes down the changes to signal, and adds everybody else to the snapshot.
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
      await concurrently(users, LOOK_UPS, async (user) => {
        if (await source.isMember(audience, user)) isMember.add(user);
        // A look-up may take the source long.
        alive();
      });
      const left = users.filter((user) => !isMember.has(user));
      await stayed.add(isMember);
      await appendFile(scan.path(CHANGES), lines('exit', left));
      sum.exits += left.length;
      sum.stayed += isMember.size;
      alive();
    }
    for await (const users of steps(enters)) {
      await appendFile(scan.path(CHANGES), lines('enter', users));
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
  for await (const line of readLines(path)) {
    users.push(JSON.parse(line) as string); // Written by the scan.
    if (users.length < STEP) continue;
    yield users;
    users = [];
  }
  if (users.length > 0) yield users;
}

function lines(event: 'enter' | 'exit', users: readonly string[]): string {
  return users.map((user) => `${JSON.stringify([event, user])}\n`).join('');
}

/** The running jobs that listen to an audience. */
export interface FoundListeners {
  readonly jobIds: readonly string[];
  /** Running jobs that are encrypted with a key that is not here, so that it is not known whether they listen. */
  readonly unreadable: readonly string[];
}

export interface TellOptions {
  /** When aborted, nothing more is sent. */
  readonly signal: AbortSignal;
  /** Called whenever the job has accepted more, and while it is waited for, with how many of these it has. */
  readonly onAccepted: (accepted: number) => void;
}

/** The jobs that changes are signalled to, as activities reach them. */
export interface Listeners {
  of(audience: string): Promise<FoundListeners>;
  /**
   * Signals triggers to a job in their order; resolves when it has them all, or has ended. A trigger of the same person, audience, event
   * and `at` may be signalled twice.
   * @throws when they cannot be signalled to it now.
   */
  tell(jobId: string, triggers: AsyncIterable<EventTrigger>, options: TellOptions): Promise<void>;
}

export interface EmitDependencies extends Pick<WatchDependencies, 'watchFolder'> {
  readonly listeners: Listeners;
  /** Whether this worker was frozen until a moment ago, so that a task it receives may be stale. */
  readonly hasStalled: () => boolean;
}

const HEARTBEAT_MS = 1_000;
/** How many jobs are signalled at once. */
const JOBS_AT_ONCE = 8;
/** How many of the jobs that could not be signalled are named. */
const NAMED = 3;
const UNREADABLE_NAMED = 20;

/**
 * The activity that signals a round's changes to every running job that listens. Each job gets all of them in the same order and with the
 * same `at`, however often this is retried, and a job that cannot be signalled now does not hold up the others.
 *
 * @throws ApplicationFailure of type JobsNotTold
 */
export function createEmitChanges({ watchFolder, listeners, hasStalled }: EmitDependencies): Activities['emitChanges'] {
  return async (audience, scanId, at) => {
    const context = Context.current();
    const scan = new Snapshot(audienceFolder(watchFolder, audience), scanId);
    const changes = await scan.whole(await scan.sealed(), CHANGES);
    const progress = await EmissionProgress.open(scan.path('told.json'));
    const { jobIds, unreadable } = await listeners.of(audience);
    const failures: string[] = [];
    const tell = async (jobId: string): Promise<void> => {
      const from = progress.of(jobId);
      const onAccepted = (accepted: number): void => progress.set(jobId, from + accepted);
      const signal = context.cancellationSignal;
      try {
        await listeners.tell(jobId, triggersOf(changes, { audience, at, from, hasStalled }), { signal, onAccepted });
      } catch (error) {
        failures.push(`${jobId}: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    // A job that accepts nothing may be waited for; a worker that was frozen notices that by itself.
    const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
    try {
      await concurrently(jobIds, JOBS_AT_ONCE, tell);
      await progress.close();
    } finally {
      clearInterval(heartbeat);
    }
    alive();
    if (failures.length > 0) throw notTold(failures);
    return { jobs: jobIds.length, unreadable: unreadable.slice(0, UNREADABLE_NAMED) };
  };
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
  for await (const line of readLines(path)) {
    if (place++ < from) continue;
    // Another worker may have signalled all of this meanwhile, and newer changes since: older ones must not come after those.
    if (hasStalled()) throw new Error('This worker was frozen for a while; the round is continued.');
    const [event, user] = JSON.parse(line) as [TriggerEvent, string]; // Written by confirmExits.
    yield { audience, user, event, at: withOffset(at) };
  }
}

function notTold(failures: readonly string[]): ApplicationFailure {
  const more = failures.length > NAMED ? ` And ${failures.length - NAMED} more.` : '';
  return ApplicationFailure.create({
    message: `Some jobs could not be told; all others were, and these are tried again. ${failures.slice(0, NAMED).join(' ')}${more}`,
    type: 'JobsNotTold',
  });
}
