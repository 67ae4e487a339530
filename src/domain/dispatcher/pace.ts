import { SLICE_MS, SLICE_TRIGGERS } from '../limits.ts';

/** What one request is taken to last before any was made, in ms. Too little costs nothing: a slice ends by its time, and gives the rest back. */
export const FIRST_REQUEST_MS = 1;
/** A slice smaller than this many ms of work is not worth its round trip, however evenly it would share the work. */
const LEAST_SLICE_MS = 50;
/** A slice for a slow endpoint may last as long, in ms, though others end before it. */
const LAST_SLICE_MS = 100;
/**
 * From here on, in ms, an endpoint is slow: what its requests wait for is the endpoint, so that an idle permit costs throughput and a
 * further slice next to nothing. With faster ones it is processors that are short, and each slice costs some time of theirs.
 */
const SLOW_REQUEST_MS = 10;

export function isSlow(requestMs: number): boolean {
  return requestMs >= SLOW_REQUEST_MS;
}

/** How many permits a new slice takes: an even share of the free ones over the slices that can still be cut. */
export function slicePermits(free: number, slicesLeft: number): number {
  return Math.ceil(free / Math.max(1, slicesLeft));
}

/** What a new slice is measured by. */
export interface SliceMeasure {
  readonly permits: number;
  readonly freePermits: number;
  /** The free ones, and those of the slices that run. */
  readonly allPermits: number;
  /** People and members that could be sent now. */
  readonly ready: number;
  /** What one request lasts. */
  readonly requestMs: number;
  readonly running: number;
  /** Most slices that run at once. */
  readonly most: number;
}

/**
 * How many triggers a new slice takes: what its permits send in about a second, but no more than its share of what is ready, so that
 * no permit idles while one slice holds all the work: none that is free now, and with a slow endpoint none that another slice soon
 * gives back. Whole rounds of its permits, since all wait for the last request. The first of several slices is shorter than the
 * next, and so on: slices that were cut together and ended together would leave the endpoint idle meanwhile, every second anew.
 */
export function sliceSize({ permits, freePermits, allPermits, ready, requestMs, running, most }: SliceMeasure): number {
  const roundsIn = (ms: number): number => Math.floor(ms / Math.max(requestMs, 0.001));
  const lasting = roundsIn((SLICE_MS * (running + 1)) / most);
  const ofFree = Math.max(Math.ceil(ready / freePermits), roundsIn(LEAST_SLICE_MS));
  const ofAll = isSlow(requestMs) ? Math.max(Math.ceil(ready / allPermits), roundsIn(LAST_SLICE_MS)) : Infinity;
  return Math.max(permits, Math.min(SLICE_TRIGGERS, permits * Math.min(lasting, ofFree, ofAll)));
}

/** The running estimate of what one request lasts, after a slice that sent `sent` requests with `permits` in flight. */
export function updateRequestMs(before: number, permits: number, sent: number, sendingMs: number): number {
  if (sent === 0) return before;
  const measured = (Math.min(permits, sent) * Math.max(sendingMs, 0.01)) / sent;
  return (before + measured) / 2;
}
