import { JobNotFound, JobNotRunning, PublishInterrupted, PushInterrupted } from '../calls/errors.ts';
import { type JobDirectory, type ListedJob, subscribersOf } from './job-directory.ts';
import type { CheckedTrigger, JobPusher, PushOptions, PushProgress, PushRoom } from './job-pusher.ts';
import { asError, PATIENCE_MS, withRetries } from '../calls/with-retries.ts';
import { checked, createPushClock, type PushClock, type PushResult, type Triggers, until } from './push.ts';

/**
 * Publishes each trigger of a list to every job that subscribes to it. Triggers that a job has not accepted when it ends go to the jobs that subscribe by
 * then. If another job takes its place, and was listed before it ended, nothing is lost between the two, however old the list is.
 *
 * @param subscribers returns the jobs for an audience; from a new list after a job has ended.
 * @param send resolves with the triggers that the job did not accept because it has ended.
 * @returns the triggers that no job accepted.
 * @throws what `send` throws, once all are over.
 */
export async function publishList(
  triggers: readonly CheckedTrigger[],
  subscribers: (audience: string) => Promise<readonly string[]>,
  send: (jobId: string, triggers: readonly CheckedTrigger[]) => Promise<readonly CheckedTrigger[]>,
): Promise<CheckedTrigger[]> {
  const unmatched = new Set(triggers);
  /** By audience, the jobs that were sent its triggers. */
  const sent = new Map<string, readonly string[]>();
  for (let rest = triggers; rest.length > 0;) {
    const toSend = new Map<string, readonly string[]>();
    const ofJob = new Map<string, CheckedTrigger[]>();
    for (const one of rest) {
      const { audience } = one.trigger;
      const before = sent.get(audience) ?? [];
      const jobIds = toSend.get(audience) ?? (await subscribers(audience)).filter((jobId) => !before.includes(jobId));
      toSend.set(audience, jobIds);
      for (const jobId of jobIds) {
        const own = ofJob.get(jobId);
        if (own === undefined) ofJob.set(jobId, [one]);
        else own.push(one);
      }
    }
    for (const [audience, jobIds] of toSend) sent.set(audience, [...(sent.get(audience) ?? []), ...jobIds]);
    const left = new Set<CheckedTrigger>();
    const sending = [...ofJob].map(async ([jobId, own]) => {
      const untaken = new Set(await send(jobId, own));
      for (const one of own)
        if (untaken.has(one)) left.add(one);
        else unmatched.delete(one);
    });
    for (const end of await Promise.allSettled(sending)) if (end.status === 'rejected') throw end.reason;
    rest = triggers.filter((one) => left.has(one));
  }
  return [...unmatched];
}

/** Whether a job refused triggers because it has ended: then they may belong to another. */
export function hasEnded(error: unknown): error is PushInterrupted {
  return (
    error instanceof PushInterrupted && (error.cause instanceof JobNotRunning || error.cause instanceof JobNotFound)
  );
}

export interface PublishOptions extends Omit<PushOptions, 'onProgress'> {
  /** Called after each signal, and when one has to wait. */
  readonly onProgress?: (progress: PublishProgress) => void;
  /** How old the list of running jobs may be, in ms; default 10,000. A job that was started after it was made gets nothing yet. */
  readonly listAgeMs?: number;
  /** Called when a job is left out from then on because it accepted nothing more; not only at the end of the input. */
  readonly onLeftOut?: (failure: PushInterrupted) => void;
}

export interface PublishProgress extends PushProgress {
  /** Triggers read. `accepted` and `signals` are sums over all jobs, so they may be larger. */
  readonly read: number;
  /** Jobs that are signalled. */
  readonly jobs: number;
}

export interface PublishResult {
  /** Triggers read. */
  readonly read: number;
  /** Triggers whose audience no running job subscribes to. */
  readonly unmatched: number;
  /** The numbers that each job accepted. */
  readonly jobs: readonly ({ readonly jobId: string } & PushResult)[];
  /** Running jobs that are encrypted with a key that is not here: it is unknown whether they subscribe, and they were not signalled. */
  readonly unreadable: readonly string[];
}

/** Begins to signal a job; it reports the progress of this job alone, while all jobs share the room. */
export type OpenPusher = (jobId: string, onProgress: (progress: PushProgress) => void, room: PushRoom) => JobPusher;

/** Bytes of JSON of triggers that wait for jobs which accept nothing at the moment: about half a million triggers without profiles. */
const WAITING_BYTES = 64 * 1024 * 1024;

const LIST_AGE_MS = 10_000;

/**
 * Publishes a stream: each trigger goes to every running job that subscribes to its audience, to each job in order. A job that has ended is left out until
 * it runs again. While one accepts nothing, the others go on: its triggers wait here, up to 64 MiB for all such jobs together. Only then does the input
 * wait, too. A job that still accepts nothing after `patienceMs` is left out for good.
 *
 * @throws PublishInterrupted when the input failed, or any job was left out for good.
 */
export async function publishTo(
  directory: JobDirectory,
  open: OpenPusher,
  triggers: Triggers,
  options: PublishOptions = {},
  clock: PushClock = createPushClock(),
  room: PushRoom = { leftBytes: WAITING_BYTES },
): Promise<PublishResult> {
  const publication = new Publication(directory, open, room, options);
  try {
    for await (const raw of until(options.signal, triggers)) await publication.offer(checked(raw, clock));
  } catch (error) {
    await publication.finish(error);
  }
  await publication.finish();
  return publication.result();
}

/** A run of a job that subscribes. */
interface JobTarget {
  readonly jobId: string;
  readonly pusher: JobPusher;
  state: 'open' | 'ended' | 'left out';
}

class Publication {
  readonly #directory: JobDirectory;
  readonly #open: OpenPusher;
  readonly #room: PushRoom;
  readonly #options: PublishOptions;
  /** Targets of all listed runs; the last one of a job is its present one. */
  readonly #targets: JobTarget[] = [];
  readonly #present = new Map<string, JobTarget>();
  readonly #failures: Error[] = [];
  readonly #unreadable = new Set<string>();
  /** The targets to which a trigger on its way was given. */
  readonly #targetsOf = new WeakMap<CheckedTrigger, readonly JobTarget[]>();
  #listed: readonly ListedJob[] = [];
  #listedAt = -Infinity;
  /** By audience, the targets that are listed and have not ended. */
  readonly #subscribers = new Map<string, readonly JobTarget[]>();
  #hasHandedOn = false;
  #read = 0;
  #unmatched = 0;

  constructor(directory: JobDirectory, open: OpenPusher, room: PushRoom, options: PublishOptions) {
    this.#directory = directory;
    this.#open = open;
    this.#room = room;
    this.#options = options;
  }

  /** @throws what ends the publication: jobs cannot be listed, or no job is left that accepts anything. */
  async offer(one: CheckedTrigger): Promise<void> {
    if (performance.now() - this.#listedAt > (this.#options.listAgeMs ?? LIST_AGE_MS)) {
      await this.#list();
      // A job that is no longer listed may have accepted less than it was given.
      for (const target of this.#openTargets())
        if (target.pusher.left.length > 0) await this.#try(target, () => target.pusher.finish());
    }
    const targets = this.#subscribersTo(one);
    if (targets.length === 0) this.#unmatched += 1;
    this.#targetsOf.set(one, targets);
    for (const target of targets) if (target.state === 'open') await this.#try(target, () => target.pusher.add(one));
    this.#read += 1;
    const [failure] = this.#failures;
    if (failure !== undefined && !this.#openTargets().length) throw failure;
  }

  /** Waits for every job; throws if any failed or `reason` is given. */
  async finish(reason?: unknown): Promise<void> {
    do {
      this.#hasHandedOn = false;
      await Promise.all(this.#openTargets().map((target) => this.#try(target, () => target.pusher.finish())));
    } while (this.#hasHandedOn);
    const failures = [...(reason === undefined ? [] : [asError(reason)]), ...this.#failures];
    if (failures.length > 0) throw new PublishInterrupted(this.#read, [...new Set(failures)]);
  }

  result(): PublishResult {
    const jobs = [...this.#present.keys()]
      .map((jobId) => ({ jobId, ...sumOf(this.#targets.filter((target) => target.jobId === jobId)) }))
      .filter(({ accepted }) => accepted > 0);
    return { read: this.#read, unmatched: this.#unmatched, jobs, unreadable: [...this.#unreadable].sort() };
  }

  #openTargets(): JobTarget[] {
    return this.#targets.filter(({ state }) => state === 'open');
  }

  #subscribersTo({ trigger: { audience } }: CheckedTrigger): readonly JobTarget[] {
    let targets = this.#subscribers.get(audience);
    if (targets === undefined) {
      const running = this.#listed.filter(({ jobId }) => this.#present.get(jobId)?.state !== 'ended');
      targets = subscribersOf(running, audience).flatMap((jobId) => this.#present.get(jobId) ?? []);
      this.#subscribers.set(audience, targets);
    }
    return targets;
  }

  async #try(target: JobTarget, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof PushInterrupted)) throw error;
      if (hasEnded(error)) {
        target.state = 'ended';
        return await this.#handOn(target.pusher.left.splice(0));
      }
      target.state = 'left out';
      this.#failures.push(error);
      if (this.#options.signal?.aborted !== true) this.#options.onLeftOut?.(error);
    }
  }

  /** Gives the triggers that a job did not accept before it ended to the present subscribers: one of them may have taken its place. */
  async #handOn(left: readonly CheckedTrigger[]): Promise<void> {
    await this.#list(false);
    for (const one of left) {
      const before = this.#targetsOf.get(one) ?? [];
      const targets = this.#subscribersTo(one).filter((target) => target.state === 'open' && !before.includes(target));
      this.#targetsOf.set(one, [...before, ...targets]);
      for (const target of targets) {
        this.#hasHandedOn = true;
        await this.#try(target, () => target.pusher.add(one));
      }
    }
  }

  /** @param mayReturn whether an ended job that is listed has started again, rather than the list being old. */
  async #list(mayReturn = true): Promise<void> {
    const { patienceMs = PATIENCE_MS, signal } = this.#options;
    const deadlineMs = performance.now() + patienceMs;
    const list = async () => {
      this.#directory.forget();
      return await this.#directory.list();
    };
    // An older list would do for the jobs on it, but not for one that was started since.
    this.#listed = await withRetries(list, { deadlineMs, signal, onPause: () => this.#report('server') });
    this.#listedAt = performance.now();
    this.#subscribers.clear();
    for (const { jobId, audiences } of this.#listed) {
      const known = this.#present.get(jobId);
      if (audiences === null) this.#unreadable.add(jobId);
      else if (known === undefined || (known.state === 'ended' && mayReturn)) this.#opens(jobId);
    }
  }

  #opens(jobId: string): void {
    const pusher = this.#open(jobId, ({ waitingFor }) => this.#report(waitingFor), this.#room);
    const target: JobTarget = { jobId, pusher, state: 'open' };
    this.#targets.push(target);
    this.#present.set(jobId, target);
  }

  #report(waitingFor?: PushProgress['waitingFor']): void {
    this.#options.onProgress?.({
      read: this.#read,
      jobs: this.#openTargets().length,
      ...sumOf(this.#targets),
      ...(waitingFor === undefined ? {} : { waitingFor }),
    });
  }
}

function sumOf(targets: readonly JobTarget[]): PushResult {
  const sum = (count: (pusher: JobPusher) => number) => targets.reduce((all, { pusher }) => all + count(pusher), 0);
  return { accepted: sum(({ accepted }) => accepted), signals: sum(({ signals }) => signals) };
}
