import { readDuration } from '../contract/duration.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The waits after the first, second … failed attempt of a trigger, in ms, for a job that does not say how long to try. */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  10 * HOUR,
];

/** Spread of each wait, so that triggers that failed together do not come back together. */
const RETRY_JITTER = 0.2;

/** Once those are over, a job that tries for longer waits as long as this again and again, in ms. */
const LONGEST_DELAY_MS = 10 * HOUR;

/**
 * The waits of a job that tries its triggers for so long: the usual ones, as far as they go, then the rest. The rest is a wait of its own,
 * or is added to the last wait if it is less than half of that. All of them add up to `retryFor`, and none is much shorter or longer than
 * usual.
 *
 * @param retryFor a duration of the form; null: the usual.
 */
export function retryDelaysMs(retryFor: string | null): readonly number[] {
  const allMs = retryFor === null ? undefined : readDuration(retryFor);
  if (allMs === undefined) return RETRY_DELAYS_MS;
  const delays: number[] = [];
  let leftMs = allMs;
  for (;;) {
    const next = RETRY_DELAYS_MS[delays.length] ?? LONGEST_DELAY_MS;
    if (next > leftMs) break;
    delays.push(next);
    leftMs -= next;
  }
  const last = delays.at(-1) ?? 0;
  if (leftMs === 0) return delays;
  return leftMs < last / 2 ? [...delays.slice(0, -1), last + leftMs] : [...delays, leftMs];
}

/**
 * How long to wait after the `failures`-th failed attempt, or undefined at the end of the schedule.
 *
 * @param failures failed attempts so far, from 1.
 * @param chance 0 <= chance < 1.
 * @param retryFor how long the job tries; default: as usual.
 */
export function retryDelayMs(failures: number, chance: number, retryFor: string | null = null): number | undefined {
  const delay = retryDelaysMs(retryFor)[failures - 1];
  return delay === undefined ? undefined : spread(delay, chance);
}

/** A wait changed by up to `RETRY_JITTER` either way. */
export function spread(delayMs: number, chance: number): number {
  return Math.round(delayMs * (1 + RETRY_JITTER * (2 * chance - 1)));
}

/** The waits for a person's profile that the source does not have yet; after them an enter is sent with `segment_events` alone. */
export const PROFILE_DELAYS_MS: readonly number[] = [1 * SECOND, 4 * SECOND, 15 * SECOND];

/** How long to wait for the source after it failed. */
export const SOURCE_DELAY_MS = 5 * SECOND;

/** How long to wait when this worker's own configuration prevents sending. */
export const WORKER_FAULT_DELAY_MS = 30 * SECOND;

/** The waits of somebody whose slices are lost in a row, after the second, third … loss, in ms; the last of these then repeats. */
const LOSS_DELAYS_MS = RETRY_DELAYS_MS.slice(0, 5);

/**
 * How long somebody waits after slices with them were lost in a row, in ms.
 *
 * @param losses from 2: the first costs nothing.
 * @param chance 0 <= chance < 1.
 */
export function lossDelayMs(losses: number, chance: number): number {
  return spread(LOSS_DELAYS_MS[losses - 2] ?? LOSS_DELAYS_MS.at(-1) ?? 0, chance);
}

/** The bounds of what an endpoint may ask for with Retry-After. */
const THROTTLE_MIN_MS = 1 * SECOND;
const THROTTLE_MAX_MS = 1 * HOUR;

/**
 * How long the whole job waits after being throttled.
 *
 * @param retryAfterMs what the endpoint asked for; 0, as for a date that has passed, asks for nothing.
 * @param streak how many times in a row it throttled without a success between, from 1.
 */
export function throttleMs(retryAfterMs = 0, streak: number): number {
  const waitMs = retryAfterMs > 0 ? retryAfterMs : 5 * SECOND * 2 ** Math.min(streak - 1, 10);
  return Math.min(Math.max(waitMs, THROTTLE_MIN_MS), THROTTLE_MAX_MS);
}

/**
 * How long, in ms, a backfill waits for the answer to its oldest page before it sends that page again: a minute, then ever longer, up to an
 * hour. Signals are not lost, so the answer just takes long: the job or its backfill is paused or slow, and every page that is sent again
 * goes into two histories.
 *
 * @param unanswered how often it was sent again without an answer, from 0.
 */
export function pageAgainMs(unanswered: number): number {
  return Math.min(MINUTE * 2 ** Math.min(unanswered, 6), HOUR);
}

/**
 * Reads a Retry-After header, in ms from now: seconds or an HTTP date (RFC 9110 §10.2.3). Undefined when it is neither. A date in the past
 * is 0; clamping is the caller's.
 */
export function parseRetryAfter(value: string, nowMs: number): number | undefined {
  const text = value.trim();
  // Any number of digits is allowed, so this stays within a safe integer.
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, Number.MAX_SAFE_INTEGER);
  // Only what looks like an HTTP date: Date.parse accepts almost anything, including "-5" and "2".
  if (!/^[A-Za-z]{3,9},? \d{1,2}[ -][A-Za-z]{3}[ -]\d{2,4} \d\d:\d\d:\d\d GMT$/.test(text)) return undefined;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** One step of mulberry32: a small, well distributed, seedable generator. Jitter needs no more. */
export function nextChance(seed: number): { readonly chance: number; readonly seed: number } {
  const next = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(next ^ (next >>> 15), next | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return { chance: ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32, seed: next };
}
