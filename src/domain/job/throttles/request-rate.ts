import type { SpacingEnd } from '../../../contract/slice.ts';
import { definedOf } from '../../json.ts';
import { SLICE_MS } from '../../limits.ts';
import type { Throttle, Throttled, ThrottledSlice } from './throttle.ts';

export interface WithSpacing {
  /** Where the last slice's spacing ended; plain JSON. `at`: when it reported that, epoch ms by the job's clock. */
  spacing?: (SpacingEnd & { readonly at: number }) | undefined;
}

type State = Throttled & WithSpacing;

/** At most so many requests a second. */
export const requestRate: Throttle<WithSpacing> = {
  spacedUntil: (state) => {
    const rate = rateOf(state);
    return rate === undefined ? 0 : nextRequestFrom(state) - Math.min(MOST_AHEAD_MS, intervalMs(rate));
  },
  take: (state) => {
    const perSecond = rateOf(state);
    return perSecond === undefined
      ? undefined
      : { pace: { perSecond, ...definedOf({ nextAtMs: state.spacing?.nextAtMs }) } };
  },
  settled: (state, { slice, report }, now) => spacingEnded(state, slice, report.spacing, now),
  wait: {
    why: 'rate',
    holds: 'ready',
    until: (state, now) => {
      const until = nextRequestFrom(state);
      return until > now + SHOWN_WAIT_MS && state.slices.size === 0 ? until : undefined;
    },
  },
};

/** A shorter wait is over before anybody has read about it. */
const SHOWN_WAIT_MS = 1000;

/**
 * A slice may be dispatched this long before its first request may start, in ms, and waits for that itself: timers of the server fire up to a
 * second late.
 */
const MOST_AHEAD_MS = 1000;

/** Requests a second that the job is limited to; undefined: to none. */
function rateOf({ job }: Throttled): number | undefined {
  return job.definition.requestsPerSecond ?? undefined;
}

/** When the next request may start, epoch ms by the job's clock; in the past when it may start now. */
function nextRequestFrom(state: State): number {
  const { spacing } = state;
  const rate = rateOf(state);
  if (rate === undefined || spacing === undefined) return 0;
  // The rate may have been raised meanwhile, so a wait is never longer than its interval.
  return spacing.at + Math.min(Math.max(spacing.inMs, 0), intervalMs(rate));
}

/** Whether a slice still starts requests at a rate: no other may start any beside it. */
export function isRateTaken(state: State): boolean {
  return rateOf(state) !== undefined && [...state.slices.values()].some(({ startsNoMore }) => startsNoMore !== true);
}

/** The most triggers that a slice may take at this rate: as many as it can start while a slice lasts. */
export function pacedSize(state: State, perSecond: number, now: number): number {
  const from = state.spacing === undefined ? -Infinity : nextRequestFrom(state) + Math.min(0, state.spacing.inMs);
  return new RequestSpacing(perSecond, from).mostUntil(now + SLICE_MS, now);
}

/**
 * Records that a slice starts no more requests: the next one may be dispatched.
 *
 * @param end where its spacing ended; undefined: unknown, so its last request may have started just now.
 */
export function spacingEnded(state: State, slice: ThrottledSlice, end: SpacingEnd | undefined, now: number): void {
  const { pace } = slice.limits;
  if (pace === undefined || slice.startsNoMore === true) return;
  slice.startsNoMore = true;
  if (end === undefined) spacingUnknown(state, pace.perSecond, now);
  else state.spacing = { ...end, at: now };
}

/** Assumes that a request has started just now: the next one waits for a whole interval. */
export function spacingUnknown(state: State, perSecond: number | undefined, now: number): void {
  if (perSecond === undefined) return;
  const inMs = intervalMs(perSecond);
  state.spacing = { nextAtMs: now + inMs, inMs, at: now };
}

/**
 * The longest burst, in seconds of the rate: a late start catches up by at most this much. With half a second, no ten seconds exceed the
 * rate by more than a twentieth.
 */
const BURST_S = 0.5;

/** The time between two requests at a rate, in ms. */
export function intervalMs(perSecond: number): number {
  return 1000 / perSecond;
}

/**
 * When requests may start so that there are never more than `perSecond`, bursts apart: the generic cell rate algorithm. Within any time of
 * `t` seconds at most `perSecond * t` start, and one burst: half a second's worth, at least one. Times are ms by any one clock.
 */
export class RequestSpacing {
  readonly #intervalMs: number;
  readonly #leewayMs: number;
  #from: number;

  /** @param from when the first request may start; `-Infinity`: at any time, as after a long rest. */
  constructor(perSecond: number, from: number) {
    this.#intervalMs = intervalMs(perSecond);
    this.#leewayMs = (Math.max(1, Math.floor(perSecond * BURST_S)) - 1) * this.#intervalMs;
    this.#from = from;
  }

  /** When the next request may start. */
  get from(): number {
    return this.#from;
  }

  /** Records that a request starts, which it may. */
  start(now: number): void {
    this.#from = this.#earliest(now) + this.#intervalMs;
  }

  /** How many requests may start from now until then; at least one, which may have to wait longer. */
  mostUntil(end: number, now: number): number {
    return Math.max(1, Math.floor((end - this.#earliest(now)) / this.#intervalMs) + 1);
  }

  #earliest(now: number): number {
    return Math.max(this.#from, now - this.#leewayMs);
  }
}
