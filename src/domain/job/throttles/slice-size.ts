import { SLICE_MS, SLICE_TRIGGERS } from '../../limits.ts';

/**
 * How long one request is assumed to take before any was made, in ms. Too low an estimate costs nothing: a slice ends on time, and gives
 * the rest back.
 */
export const FIRST_REQUEST_MS = 1;
/** A slice smaller than this many ms of work is not worth its round trip, however evenly it would share the work. */
const LEAST_SLICE_MS = 50;
/** A slice for a slow endpoint may last as long, in ms, though others end before it. */
const LAST_SLICE_MS = 100;
/**
 * From this many ms a request, an endpoint is slow: its requests wait for the endpoint, so an idle permit costs throughput and another
 * slice costs next to nothing. With faster endpoints processors are scarce, and each slice costs some of their time.
 */
const SLOW_REQUEST_MS = 10;

export function isSlow(requestMs: number): boolean {
  return requestMs >= SLOW_REQUEST_MS;
}

/** How many permits a new slice takes: an even share of the free ones over the slices that can still be dispatched. */
export function slicePermits(free: number, slicesLeft: number): number {
  return Math.ceil(free / Math.max(1, slicesLeft));
}

/** The figures that decide the size of a new slice. */
interface SliceMeasure {
  readonly permits: number;
  readonly freePermits: number;
  /** The free permits, and those of the running slices. */
  readonly allPermits: number;
  /** People and members that could be sent now. */
  readonly ready: number;
  /** How long one request takes. */
  readonly requestMs: number;
  readonly running: number;
  /** Most slices that run at once. */
  readonly most: number;
}

/**
 * How many triggers a new slice takes: as many as its permits send in about a second, but no more than its share of the ready ones.
 * Otherwise permits would be idle while one slice holds all the work: the free ones now and, with a slow endpoint, those that another slice
 * soon gives back. A slice takes whole rounds of its permits, since all of them wait for the last request. If several slices are dispatched
 * together, each is longer than the one before: if they all ended together, the endpoint would be idle every second until the next ones.
 */
export function sliceSize({ permits, freePermits, allPermits, ready, requestMs, running, most }: SliceMeasure): number {
  const roundsIn = (ms: number): number => Math.floor(ms / Math.max(requestMs, 0.001));
  const lasting = roundsIn((SLICE_MS * (running + 1)) / most);
  const ofFree = Math.max(Math.ceil(ready / freePermits), roundsIn(LEAST_SLICE_MS));
  const ofAll = isSlow(requestMs) ? Math.max(Math.ceil(ready / allPermits), roundsIn(LAST_SLICE_MS)) : Infinity;
  return Math.max(permits, Math.min(SLICE_TRIGGERS, permits * Math.min(lasting, ofFree, ofAll)));
}

/** The running estimate of how long one request takes, after a slice that sent `sent` requests with `permits` in flight. */
export function updateRequestMs(before: number, permits: number, sent: number, sendingMs: number): number {
  if (sent === 0) return before;
  const measured = (Math.min(permits, sent) * Math.max(sendingMs, 0.01)) / sent;
  return (before + measured) / 2;
}
