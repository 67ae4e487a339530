import { randomInt } from 'node:crypto';
import type { KeySearch } from './key-search.ts';
import type { EventTrigger, Trigger, TriggerEvent } from '../../contract/trigger.ts';
import { type Instant, instantOf, nextNanosecond, withOffset } from '../../domain/instant.ts';
import { jsonStringBytes } from '../../domain/json.ts';
import { PLACE_BYTES } from './writing-runs.ts';
import { InvalidTrigger, PushInterrupted } from '../calls/errors.ts';
import type { CheckedTrigger, JobPusher } from './job-pusher.ts';
import { asError } from '../calls/with-retries.ts';
import { readGiven, withLine } from './trigger-lines.ts';

const NANOSECONDS_PER_MS = 1_000_000;

/** Gives the `at` of a trigger that is pushed without one, as it is sent. */
export type PushClock = () => string;

/**
 * Makes a clock for triggers without an `at`, which gives now, and later than any time before. The `at` is set before the signal, so the delivery id is
 * fixed before the server has the trigger. A reset of the job's workflow, which signals everything again at another time, cannot change it. The digits below
 * the millisecond are drawn once per millisecond, so two programs that push about the same person in the same millisecond differ. Each trigger of one
 * program is mostly a nanosecond after the one before, which a `TriggerRun` need not write.
 *
 * @param now epoch ms.
 * @param draw a whole number from 0 up to, not including, the one given.
 */
export function createPushClock(now: () => number = Date.now, draw: (end: number) => number = randomInt): PushClock {
  let last: Instant = '';
  let lastMs = 0;
  return () => {
    const ms = now();
    const next = last === '' ? '' : nextNanosecond(last);
    last = ms === lastMs ? next : later(drawn(ms, draw), next);
    lastMs = ms;
    return withOffset(last);
  };
}

function drawn(ms: number, draw: (end: number) => number): Instant {
  return instantOf(ms).replace('000000Z', `${String(draw(NANOSECONDS_PER_MS)).padStart(6, '0')}Z`);
}

function later(one: Instant, other: Instant): Instant {
  return one > other ? one : other;
}

/** Triggers to send: a list, or a stream of any length. */
export type Triggers = Iterable<EventTrigger> | AsyncIterable<EventTrigger>;

export interface PushResult {
  /** Triggers that the job has accepted. */
  readonly accepted: number;
  readonly signals: number;
}

/**
 * Sends triggers to one job.
 * @param check rejects when the job would not take a trigger.
 * @throws PushInterrupted when it ended early, with the numbers that were accepted and unconfirmed.
 */
export async function pushTo(
  pusher: JobPusher,
  triggers: Triggers,
  signal?: AbortSignal,
  clock: PushClock = createPushClock(),
  check: (one: CheckedTrigger) => Promise<void> = async () => undefined,
): Promise<PushResult> {
  try {
    for await (const raw of until(signal, triggers)) {
      const one = checked(raw, clock);
      await check(one);
      await pusher.add(one);
    }
  } catch (error) {
    if (error instanceof PushInterrupted) throw error;
    await pusher.finish();
    throw new PushInterrupted(pusher.jobId, pusher.accepted, 0, error);
  }
  await pusher.finish();
  return { accepted: pusher.accepted, signals: pusher.signals };
}

/** Returns the error for a single trigger: the reason alone is enough, unless the trigger may have been accepted. */
export function reasonOf(failure: unknown): unknown {
  return failure instanceof PushInterrupted && failure.unconfirmed === 0 ? failure.cause : failure;
}

/** The items, until `signal` is aborted; then throws the signal's reason, even while waiting for the next item. */
export async function* until<T>(
  signal: AbortSignal | undefined,
  items: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T> {
  if (signal === undefined) return yield* items;
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let interrupt: (reason: unknown) => void = () => undefined;
  const hear = (): void => interrupt(asError(signal.reason));
  signal.addEventListener('abort', hear, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      // A promise per item: racing each against one that outlives them all would keep memory for every item that long.
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        interrupt = reject;
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', hear);
    // Called since it may hold a file open, but not awaited, since it may be busy with an item that is no longer wanted.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/**
 * A trigger for `enter` or `exit`.
 * @throws InvalidTrigger when it says the opposite.
 */
export function withEvent(trigger: Trigger, event: TriggerEvent): EventTrigger {
  const ownEvent = 'event' in trigger ? trigger.event : undefined;
  if (ownEvent !== undefined && ownEvent !== event)
    throw new InvalidTrigger(`it is for "${event}", and its "event" is another`);
  return { ...trigger, event };
}

/** @param search the request's, where it has several triggers. @throws InvalidTrigger */
export function checked(raw: unknown, clock: PushClock, search?: KeySearch): CheckedTrigger {
  const { at = clock(), ...fields } = readGiven(raw, search);
  if (!hasFiniteNumbers((raw as { profile?: unknown }).profile))
    throw new InvalidTrigger('"profile" has a number that is too large, such as 1e400: it would be sent as null');
  const trigger = { ...fields, at };
  const { user, audience, profile } = trigger;
  const names = jsonStringBytes(user) + jsonStringBytes(audience);
  const bare = FRAME_BYTES + names + at.length;
  if (profile === undefined) return { trigger, bytes: bare, profileBytes: 0 };
  const profileBytes = jsonStringBytes(profile);
  return {
    trigger,
    bytes: bare + PROFILE_FRAME_BYTES + profileBytes,
    profileBytes: Math.max(0, profileBytes - PLACE_BYTES),
  };
}

/** JSON allows numbers too large for a program, which reads them as infinite. */
function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(hasFiniteNumbers);
}

/** @throws InvalidTrigger, with its place in the list, from 1, as its line */
export function checkedAll(triggers: readonly unknown[], clock: PushClock): CheckedTrigger[] {
  return triggers.map((raw, i) => withLine(i + 1, () => checked(raw, clock)));
}

const FRAME_BYTES = '{"user":,"audience":,"event":"enter","at":""}'.length;
const PROFILE_FRAME_BYTES = '"profile":,'.length;
