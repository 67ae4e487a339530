import { JobNotRunning, PublishInterrupted, PushInterrupted } from './errors.ts';
import type { JobPusher, PushOptions, PushProgress } from './job-pusher.ts';
import { patiently, PATIENCE_MS } from './patiently.ts';
import { asError, checked, type CheckedTrigger, type PushResult, type Triggers, until } from './push.ts';

export interface PublishOptions extends Omit<PushOptions, 'onProgress'> {
  /** Called after each signal, and when one has to wait. */
  readonly onProgress?: (progress: PublishProgress) => void;
  /** How old the list of running jobs may be, in ms; default 10,000. A job that was started after it was made gets nothing yet. */
  readonly listAgeMs?: number;
  /** Called at once, not at the end of the input, when a job is left out from then on because it accepted nothing more. */
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

/** Begins to signal a job; the progress that it reports is this job's alone. */
export type OpenPusher = (jobId: string, onProgress: (progress: PushProgress) => void) => JobPusher;

const LIST_AGE_MS = 10_000;

/**
 * Sends each trigger to every running job that listens to its audience, to each job in order. A job that has ended is left out until it
 * runs again. One that accepts nothing more, although it was waited for, is left out for good, so that the others get theirs.
 *
 * @param running lists the running jobs.
 * @throws PublishInterrupted when the input failed, or any job was left out for good.
 */
export async function publishTo(
  running: () => Promise<readonly ListeningJob[]>,
  open: OpenPusher,
  triggers: Triggers,
  options: PublishOptions = {},
): Promise<PublishResult> {
  const publication = new Publication(running, open, options);
  try {
    for await (const raw of until(options.signal, triggers)) await publication.offer(checked(raw));
  } catch (error) {
    await publication.finish(error);
  }
  await publication.finish();
  return publication.result();
}

/** A job that listens, across all its runs while we publish. */
interface Listener {
  readonly jobId: string;
  pusher: JobPusher;
  state: 'told' | 'ended' | 'left out';
  /** What it accepted before it ended and ran again. */
  before: PushResult;
}

class Publication {
  readonly #running: () => Promise<readonly ListeningJob[]>;
  readonly #open: OpenPusher;
  readonly #options: PublishOptions;
  readonly #jobs = new Map<string, Listener>();
  readonly #failures: Error[] = [];
  readonly #unreadable = new Set<string>();
  #listeners = new Map<string, Listener[]>();
  #listedAt = -Infinity;
  #read = 0;
  #unheard = 0;

  constructor(running: () => Promise<readonly ListeningJob[]>, open: OpenPusher, options: PublishOptions) {
    this.#running = running;
    this.#open = open;
    this.#options = options;
  }

  /** @throws what ends the publication: jobs cannot be listed, or no job is left that accepts anything. */
  async offer({ trigger, bytes }: CheckedTrigger): Promise<void> {
    if (performance.now() - this.#listedAt > (this.#options.listAgeMs ?? LIST_AGE_MS)) await this.#list();
    const listeners = this.#listeners.get(trigger.audience) ?? [];
    if (listeners.every(({ state }) => state === 'ended')) this.#unheard += 1;
    for (const listener of listeners) {
      if (listener.state !== 'told') continue;
      const failure = await this.#try(listener, () => listener.pusher.add(trigger, bytes));
      if (failure !== undefined && this.#options.signal?.aborted !== true) this.#options.onLeftOut?.(failure);
    }
    this.#read += 1;
    const [failure] = this.#failures;
    if (failure !== undefined && !this.#told().length) throw failure;
  }

  /** Waits for every job; throws if any failed or `reason` is given. */
  async finish(reason?: unknown): Promise<void> {
    for (const listener of this.#told()) await this.#try(listener, () => listener.pusher.finish());
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

  /** Why the job is left out, if it is. */
  async #try(listener: Listener, step: () => Promise<void>): Promise<PushInterrupted | undefined> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof PushInterrupted)) throw error;
      if (error.cause instanceof JobNotRunning) listener.state = 'ended';
      else {
        listener.state = 'left out';
        this.#failures.push(error);
        return error;
      }
    }
    return undefined;
  }

  async #list(): Promise<void> {
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
      const listener = this.#listenerOf(jobId);
      for (const audience of new Set(audiences)) {
        listeners.set(audience, [...(listeners.get(audience) ?? []), listener]);
      }
    }
    this.#listeners = listeners;
    this.#listedAt = performance.now();
  }

  #listenerOf(jobId: string): Listener {
    const open = () => this.#open(jobId, ({ waitingFor }) => this.#report(waitingFor));
    const known = this.#jobs.get(jobId);
    if (known === undefined) {
      const listener: Listener = { jobId, pusher: open(), state: 'told', before: { accepted: 0, signals: 0 } };
      this.#jobs.set(jobId, listener);
      return listener;
    }
    if (known.state === 'ended') Object.assign(known, { before: sumOf(known), pusher: open(), state: 'told' });
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
