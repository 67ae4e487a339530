import type { EventTrigger } from '../contract/trigger.ts';
import { jsonStringBytes } from '../domain/json.ts';
import { readTrigger } from '../domain/trigger.ts';
import { InvalidTrigger, PushInterrupted } from './errors.ts';
import type { JobPusher } from './job-pusher.ts';

/** Triggers to send: a list, or a stream of any length. */
export type Triggers = Iterable<EventTrigger> | AsyncIterable<EventTrigger>;

export interface PushResult {
  /** Triggers that the job has accepted. */
  readonly accepted: number;
  readonly signals: number;
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

/**
 * Sends one trigger to one job.
 * @throws why it could not be sent; PushInterrupted when it may have been.
 */
export async function pushOne(pusher: JobPusher, trigger: EventTrigger): Promise<void> {
  try {
    await pushTo(pusher, [trigger]);
  } catch (error) {
    // For a single trigger the reason alone says everything, unless the trigger may have been accepted.
    if (error instanceof PushInterrupted && error.unconfirmed === 0) throw error.cause;
    throw error;
  }
}

/** The items, until `signal` is aborted; then throws the signal's reason, even while waiting for the next item. */
export async function* until(signal: AbortSignal | undefined, items: Triggers): AsyncGenerator<EventTrigger> {
  if (signal === undefined) return yield* items;
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let interrupt: (reason: unknown) => void = () => undefined;
  const hear = (): void => interrupt(asError(signal.reason));
  signal.addEventListener('abort', hear, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      // A promise per item: racing against one that outlives them all would retain something of every item for that long.
      const next = await new Promise<IteratorResult<EventTrigger>>((resolve, reject) => {
        interrupt = reject;
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', hear);
    // Called since it may hold a file open, but not awaited, since it may be busy with an item that nobody will see.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The input failed.', { cause: reason });
}

/** A valid trigger, as it was given. */
export interface CheckedTrigger {
  readonly trigger: EventTrigger;
  /** The size of its JSON. */
  readonly bytes: number;
}

/** @throws InvalidTrigger */
export function checked(raw: unknown): CheckedTrigger {
  const reading = readTrigger(raw);
  if (!reading.ok) throw new InvalidTrigger(reading.reason);
  const { profileBytes = 0, ...trigger } = reading.trigger;
  const { user, audience, at, profile } = trigger;
  const names = jsonStringBytes(user) + jsonStringBytes(audience);
  const atBytes = at === undefined ? 0 : AT_FRAME_BYTES + at.length;
  const more = profile === undefined ? 0 : PROFILE_FRAME_BYTES + profileBytes;
  return { trigger, bytes: FRAME_BYTES + names + atBytes + more };
}

const FRAME_BYTES = '{"user":,"audience":,"event":"enter"}'.length;
const AT_FRAME_BYTES = '"at":"",'.length;
const PROFILE_FRAME_BYTES = '"profile":,'.length;
