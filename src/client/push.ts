import type { EventTrigger } from '../contract/trigger.ts';
import { utf8Bytes } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';
import { InvalidTrigger, JobNotRunning, PublishInterrupted, PushInterrupted } from './errors.ts';
import type { JobPusher } from './job-pusher.ts';

/** Triggers to send: a list, or a stream of any length. */
export type Triggers = Iterable<EventTrigger> | AsyncIterable<EventTrigger>;

export interface PushResult {
  /** Triggers that are with the job. */
  readonly accepted: number;
  readonly signals: number;
}

export interface PublishResult {
  /** Triggers read. */
  readonly read: number;
  /** Triggers to whose audience no running job listens. */
  readonly unheard: number;
  /** What each job accepted. */
  readonly jobs: readonly ({ readonly jobId: string } & PushResult)[];
  /** Running jobs that are encrypted with a key which is not here: whether they listen is not known, and they were told nothing. */
  readonly unreadable: readonly string[];
}

/** A running job, and the slugs and ids by which its audiences may be named; null when they cannot be read here. */
export interface ListeningJob {
  readonly jobId: string;
  readonly audiences: readonly string[] | null;
}

/**
 * Sends triggers to one job.
 * @throws PushInterrupted when it could not be done to the end: what was accepted and what not.
 */
export async function pushTo(pusher: JobPusher, triggers: Triggers, signal?: AbortSignal): Promise<PushResult> {
  try {
    for await (const raw of until(signal, triggers)) {
      const { trigger, bytes } = checked(raw);
      await pusher.add(trigger, bytes);
    }
  } catch (error) {
    if (error instanceof PushInterrupted) throw error;
    await pusher.finish();
    throw new PushInterrupted(pusher.jobId, pusher.accepted, 0, error);
  }
  await pusher.finish();
  return { accepted: pusher.accepted, signals: pusher.signals };
}

/** How old the list of running jobs may be, in ms. */
const LIST_AGE_MS = 10_000;

/**
 * Sends each trigger to every running job that listens to its audience; each job gets its own in order. A job that ends
 * meanwhile is left out from then on.
 *
 * @param running lists the running jobs; asked again every 10 s.
 * @throws PublishInterrupted
 */
export async function publishTo(
  running: () => Promise<readonly ListeningJob[]>,
  open: (jobId: string) => JobPusher,
  triggers: Triggers,
  signal?: AbortSignal,
): Promise<PublishResult> {
  const publication = new Publication(running, open);
  try {
    for await (const raw of until(signal, triggers)) await publication.offer(checked(raw));
  } catch (error) {
    await publication.finish(error);
  }
  await publication.finish();
  return publication.result();
}

class Publication {
  readonly #running: () => Promise<readonly ListeningJob[]>;
  readonly #open: (jobId: string) => JobPusher;
  readonly #pushers = new Map<string, JobPusher>();
  readonly #ended = new Set<string>();
  readonly #unreadable = new Set<string>();
  #listeners = new Map<string, JobPusher[]>();
  #listedAt = -Infinity;
  #read = 0;
  #unheard = 0;

  constructor(running: () => Promise<readonly ListeningJob[]>, open: (jobId: string) => JobPusher) {
    this.#running = running;
    this.#open = open;
  }

  async offer({ trigger, bytes }: CheckedTrigger): Promise<void> {
    if (performance.now() - this.#listedAt > LIST_AGE_MS) await this.#list();
    const pushers = (this.#listeners.get(trigger.audience) ?? []).filter(({ jobId }) => !this.#ended.has(jobId));
    if (pushers.length === 0) this.#unheard += 1;
    for (const pusher of pushers) {
      await this.#unlessEnded(pusher, () => pusher.add(trigger, bytes));
    }
    this.#read += 1;
  }

  /** Waits for every job; throws if any failed or `reason` is given. */
  async finish(reason?: unknown): Promise<void> {
    const failures: Error[] = [];
    if (reason !== undefined) failures.push(asError(reason));
    for (const pusher of this.#pushers.values()) {
      try {
        await this.#unlessEnded(pusher, () => pusher.finish());
      } catch (error) {
        if (error instanceof Error && !failures.includes(error)) failures.push(error);
      }
    }
    if (failures.length > 0) throw new PublishInterrupted(this.#read, failures);
  }

  result(): PublishResult {
    const jobs = [...this.#pushers.values()]
      .filter(({ accepted }) => accepted > 0)
      .map(({ jobId, accepted, signals }) => ({ jobId, accepted, signals }));
    return { read: this.#read, unheard: this.#unheard, jobs, unreadable: [...this.#unreadable].sort() };
  }

  async #unlessEnded(pusher: JobPusher, step: () => Promise<void>): Promise<void> {
    if (this.#ended.has(pusher.jobId)) return;
    try {
      await step();
    } catch (error) {
      if (!(error instanceof PushInterrupted && error.cause instanceof JobNotRunning)) throw error;
      this.#ended.add(pusher.jobId);
    }
  }

  async #list(): Promise<void> {
    const listeners = new Map<string, JobPusher[]>();
    for (const { jobId, audiences } of await this.#running()) {
      if (audiences === null) {
        this.#unreadable.add(jobId);
        continue;
      }
      const pusher = this.#pushers.get(jobId) ?? this.#open(jobId);
      this.#pushers.set(jobId, pusher);
      for (const audience of new Set(audiences)) {
        listeners.set(audience, [...(listeners.get(audience) ?? []), pusher]);
      }
    }
    this.#listeners = listeners;
    this.#listedAt = performance.now();
  }
}

/** The items, until `signal` is aborted: then it throws the signal's reason, also while it waits for the next item. */
async function* until(signal: AbortSignal | undefined, items: Triggers): AsyncGenerator<EventTrigger> {
  if (signal === undefined) return yield* items;
  const end = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(asError(signal.reason)), { once: true });
  });
  // Nobody listens between two items.
  end.catch(() => undefined);
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await Promise.race([iterator.next(), end]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: it may be busy with an item that nobody will see. It may hold a file open.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The input failed.', { cause: reason });
}

interface CheckedTrigger {
  readonly trigger: EventTrigger;
  /** Of its JSON. */
  readonly bytes: number;
}

function checked(raw: unknown): CheckedTrigger {
  const reading = readTrigger(raw);
  if (!reading.ok) throw new InvalidTrigger(reading.reason);
  const { profileBytes = 0, ...trigger } = reading.trigger;
  const bytes = FRAME_BYTES + utf8Bytes(trigger.user) + utf8Bytes(trigger.audience) + profileBytes;
  return { trigger, bytes };
}

// What {"user":"","audience":"","event":"enter","at":"…","profile":} takes besides user, audience and profile.
const FRAME_BYTES = 96;
