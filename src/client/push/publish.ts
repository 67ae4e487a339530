import { JobNotRunning, PublishInterrupted, PushInterrupted } from '../errors.ts';
import type { JobPusher, PushOptions, PushProgress, PushRoom } from './job-pusher.ts';
import { asError, PATIENCE_MS, patiently } from './patiently.ts';
import {
  checked,
  type CheckedTrigger,
  createPushClock,
  type PushClock,
  type PushResult,
  type Triggers,
  until,
} from './push.ts';

/** Something to be done, and its place in the order. */
export interface LaneItem {
  readonly id: string;
  /** Items of one lane go one after another, … */
  readonly lane: string;
  /** … in the order of this text, then of `id`. */
  readonly place: string;
}

/** The outcome of an item: done; refused, which does not stop the later items of its lane; or unknown, which does. */
export type Outcome = { readonly kind: 'done' } | { readonly kind: 'refused' | 'unknown'; readonly reason: string };

/**
 * Does something for each item: at most `atOnce` lanes at a time, and within a lane one item after another. After an item whose outcome is
 * unknown, the rest of its lane is left alone.
 *
 * @param act returns the outcome of an item. When it rejects, nothing more is begun, and the error is thrown once everything begun is over.
 * @param settled called for each item, as soon as it is over.
 * @throws what `act` rejects with; the signal's reason, when it is aborted.
 */
export async function inLanes<T extends LaneItem>(
  items: Iterable<T>,
  act: (item: T) => Promise<Outcome>,
  settled: (item: T, outcome: Outcome) => void,
  { atOnce, signal }: { readonly atOnce: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const lanes = lanesOf(items).values();
  const failures: unknown[] = [];
  const runner = async (): Promise<void> => {
    for (const lane of lanes) {
      let isClear = true;
      for (const item of lane) {
        if (failures.length > 0 || signal?.aborted === true) return;
        const outcome: Outcome = isClear ? await act(item) : LEFT;
        settled(item, outcome);
        isClear &&= outcome.kind !== 'unknown';
      }
    }
  };
  const guarded = () => runner().catch((error: unknown) => failures.push(error));
  await Promise.all(Array.from({ length: atOnce }, guarded));
  if (failures.length > 0) throw failures[0];
  signal?.throwIfAborted();
}

const LEFT: Outcome = {
  kind: 'refused',
  reason: 'not tried, since it must not overtake an earlier one of the same person that is undecided',
};

/** Lanes in the order in which their first items came. */
function lanesOf<T extends LaneItem>(items: Iterable<T>): Map<string, T[]> {
  const lanes = new Map<string, T[]>();
  for (const item of items) {
    const lane = lanes.get(item.lane);
    if (lane === undefined) lanes.set(item.lane, [item]);
    else lane.push(item);
  }
  for (const lane of lanes.values()) lane.sort((a, b) => compare(a.place, b.place) || compare(a.id, b.id));
  return lanes;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
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
  /** Triggers whose audience no running job listens to. */
  readonly unheard: number;
  /** What each job accepted. */
  readonly jobs: readonly ({ readonly jobId: string } & PushResult)[];
  /** Running jobs that are encrypted with a key that is not here: it is not known whether they listen, and nothing was signalled to them. */
  readonly unreadable: readonly string[];
}

/** A running job, and the slugs and ids by which its audiences may be named; null when they cannot be read here. */
export interface ListeningJob {
  readonly jobId: string;
  readonly audiences: readonly string[] | null;
}

/** Begins to signal a job; the progress that it reports is this job's alone, the room that of all jobs. */
export type OpenPusher = (jobId: string, onProgress: (progress: PushProgress) => void, room: PushRoom) => JobPusher;

/** JSON of triggers that wait for jobs which take nothing at the moment: some half a million without profiles. */
const WAITING_BYTES = 64 * 1024 * 1024;

const LIST_AGE_MS = 10_000;

/**
 * Sends each trigger to every running job that listens to its audience, to each job in order. A job that has ended is left out until it
 * runs again. While one accepts nothing, the others go on: what it has not accepted waits here, up to 64 MiB for all such jobs together; only
 * then the input waits, too. One that accepts nothing more, although it was waited for, is left out for good.
 *
 * @param running lists the running jobs.
 * @throws PublishInterrupted when the input failed, or any job was left out for good.
 */
export async function publishTo(
  running: () => Promise<readonly ListeningJob[]>,
  open: OpenPusher,
  triggers: Triggers,
  options: PublishOptions = {},
  clock: PushClock = createPushClock(),
  room: PushRoom = { leftBytes: WAITING_BYTES },
): Promise<PublishResult> {
  const publication = new Publication(running, open, room, options);
  try {
    for await (const raw of until(options.signal, triggers)) await publication.offer(checked(raw, clock));
  } catch (error) {
    await publication.finish(error);
  }
  await publication.finish();
  return publication.result();
}

/** A job that listens, across all its runs while we publish. */
interface Listener {
  readonly jobId: string;
  /** The place of the first trigger that it is told since it was last found. */
  readonly from: number;
  pusher: JobPusher;
  state: 'told' | 'ended' | 'left out';
  /** What it accepted before it ended and ran again. */
  before: PushResult;
}

class Publication {
  readonly #running: () => Promise<readonly ListeningJob[]>;
  readonly #open: OpenPusher;
  readonly #room: PushRoom;
  readonly #options: PublishOptions;
  readonly #jobs = new Map<string, Listener>();
  readonly #failures: Error[] = [];
  readonly #unreadable = new Set<string>();
  /** Of what is on its way: how many were read before it. */
  readonly #places = new WeakMap<CheckedTrigger, number>();
  #listeners = new Map<string, Listener[]>();
  #listedAt = -Infinity;
  #hasHandedOn = false;
  #read = 0;
  #unheard = 0;

  constructor(
    running: () => Promise<readonly ListeningJob[]>,
    open: OpenPusher,
    room: PushRoom,
    options: PublishOptions,
  ) {
    this.#running = running;
    this.#open = open;
    this.#room = room;
    this.#options = options;
  }

  /** @throws what ends the publication: jobs cannot be listed, or no job is left that accepts anything. */
  async offer(one: CheckedTrigger): Promise<void> {
    if (performance.now() - this.#listedAt > (this.#options.listAgeMs ?? LIST_AGE_MS)) {
      await this.#list(this.#read);
      // One that is listed no more may have taken less than it was given.
      for (const listener of this.#told())
        if (listener.pusher.left.length > 0) await this.#try(listener, () => listener.pusher.finish());
    }
    this.#places.set(one, this.#read);
    const listeners = this.#listeners.get(one.trigger.audience) ?? [];
    if (listeners.every(({ state }) => state === 'ended')) this.#unheard += 1;
    for (const listener of listeners) {
      if (listener.state !== 'told') continue;
      await this.#try(listener, () => listener.pusher.add(one));
    }
    this.#read += 1;
    const [failure] = this.#failures;
    if (failure !== undefined && !this.#told().length) throw failure;
  }

  /** Waits for every job; throws if any failed or `reason` is given. */
  async finish(reason?: unknown): Promise<void> {
    do {
      this.#hasHandedOn = false;
      await Promise.all(this.#told().map((listener) => this.#try(listener, () => listener.pusher.finish())));
    } while (this.#hasHandedOn);
    const failures = [...(reason === undefined ? [] : [asError(reason)]), ...this.#failures];
    if (failures.length > 0) throw new PublishInterrupted(this.#read, [...new Set(failures)]);
  }

  result(): PublishResult {
    const jobs = [...this.#jobs.values()]
      .map((listener) => ({ jobId: listener.jobId, ...sumOf(listener) }))
      .filter(({ accepted }) => accepted > 0);
    return { read: this.#read, unheard: this.#unheard, jobs, unreadable: [...this.#unreadable].sort() };
  }

  #told(): Listener[] {
    return [...this.#jobs.values()].filter(({ state }) => state === 'told');
  }

  async #try(listener: Listener, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof PushInterrupted)) throw error;
      const left = listener.pusher.left.splice(0);
      if (error.cause instanceof JobNotRunning) {
        listener.state = 'ended';
        return await this.#handOn(left);
      }
      listener.state = 'left out';
      this.#failures.push(error);
      if (this.#options.signal?.aborted !== true) this.#options.onLeftOut?.(error);
    }
  }

  /** What a job did not take before it ended is told to those that have been listed since: one of them may have taken its place. */
  async #handOn(left: readonly CheckedTrigger[]): Promise<void> {
    // Everything read so far would be new to whoever is found now.
    await this.#list(this.#read + 1, false);
    for (const one of left)
      for (const listener of this.#listeners.get(one.trigger.audience) ?? []) {
        if (listener.state !== 'told' || listener.from <= (this.#places.get(one) ?? 0)) continue;
        this.#hasHandedOn = true;
        await this.#try(listener, () => listener.pusher.add(one));
      }
  }

  /**
   * @param from the place of the first trigger that those are told which were not listed before.
   * @param mayReturn whether a job that has ended and is listed runs again, rather than still.
   */
  async #list(from: number, mayReturn = true): Promise<void> {
    const { patienceMs = PATIENCE_MS, signal } = this.#options;
    const deadlineMs = performance.now() + patienceMs;
    // An older list would serve the jobs that are on it, but not one that was started since.
    const running = await patiently(this.#running, { deadlineMs, signal, onPause: () => this.#report('server') });
    const listeners = new Map<string, Listener[]>();
    for (const { jobId, audiences } of running) {
      if (audiences === null) {
        this.#unreadable.add(jobId);
        continue;
      }
      const listener = this.#listenerOf(jobId, from, mayReturn);
      for (const audience of new Set(audiences)) {
        listeners.set(audience, [...(listeners.get(audience) ?? []), listener]);
      }
    }
    this.#listeners = listeners;
    this.#listedAt = performance.now();
  }

  #listenerOf(jobId: string, from: number, mayReturn: boolean): Listener {
    const open = () => this.#open(jobId, ({ waitingFor }) => this.#report(waitingFor), this.#room);
    const known = this.#jobs.get(jobId);
    if (known === undefined) {
      const before = { accepted: 0, signals: 0 };
      const listener: Listener = { jobId, from, pusher: open(), state: 'told', before };
      this.#jobs.set(jobId, listener);
      return listener;
    }
    if (known.state === 'ended' && mayReturn)
      Object.assign(known, { from, before: sumOf(known), pusher: open(), state: 'told' });
    return known;
  }

  #report(waitingFor?: PushProgress['waitingFor']): void {
    const sums = [...this.#jobs.values()].map(sumOf);
    const told = this.#told();
    this.#options.onProgress?.({
      read: this.#read,
      jobs: told.length,
      accepted: sums.reduce((sum, { accepted }) => sum + accepted, 0),
      signals: sums.reduce((sum, { signals }) => sum + signals, 0),
      ...(waitingFor === undefined ? {} : { waitingFor }),
    });
  }
}

function sumOf({ before, pusher }: Listener): PushResult {
  return { accepted: before.accepted + pusher.accepted, signals: before.signals + pusher.signals };
}
