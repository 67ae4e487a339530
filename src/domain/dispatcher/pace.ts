import { SLICE_MS, SLICE_TRIGGERS } from '../limits.ts';

/** What one request is taken to last before any was made, in ms. */
export const FIRST_REQUEST_MS = 100;
/** A slice smaller than this many ms of work is not worth its round trip, however evenly it would share the work. */
const LEAST_SLICE_MS = 50;

/** How many permits a new slice takes: an even share of the free ones over the slices that can still be cut. */
export function slicePermits(free: number, slicesLeft: number): number {
  return Math.ceil(free / Math.max(1, slicesLeft));
}

/**
 * How many triggers a new slice takes: what its permits send in about a second, but no more than its share of what is ready, so that
 * no permit idles while one slice holds all the work.
 */
export function sliceSize(permits: number, freePermits: number, ready: number, requestMs: number): number {
  const perMs = permits / Math.max(requestMs, 0.001);
  const share = Math.max(Math.ceil((ready * permits) / freePermits), perMs * LEAST_SLICE_MS);
  return Math.max(permits, Math.floor(Math.min(SLICE_TRIGGERS, perMs * SLICE_MS, share)));
}

/** The running estimate of what one request lasts, after a slice that sent `sent` requests with `permits` in flight. */
export function updateRequestMs(before: number, permits: number, sent: number, sendingMs: number): number {
  if (sent === 0) return before;
  const measured = (Math.min(permits, sent) * Math.max(sendingMs, 0.01)) / sent;
  return (before + measured) / 2;
}
