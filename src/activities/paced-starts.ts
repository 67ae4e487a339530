import type { SlicePace, SpacingEnd } from '../contract/slice.ts';
import { intervalMs, RequestSpacing } from '../domain/spacing.ts';

/**
 * The starts of a slice's requests, one after another as its pace allows. Within the slice time is monotonic; what one slice hands on to the
 * next is an instant by the clock of the worker, so that what a report takes on its way is not lost.
 */
export class PacedStarts {
  readonly #spacing: RequestSpacing;
  readonly #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor({ perSecond, nextAtMs = -Infinity }: SlicePace) {
    const now = performance.now();
    // Never later, or a worker whose clock is behind would wait for as long as the clocks differ.
    const latest = now + intervalMs(perSecond);
    this.#spacing = new RequestSpacing(perSecond, Math.min(now + (nextAtMs - Date.now()), latest));
  }

  /** When the next request may start, as `performance.now()`; in the past when it may start now. */
  get from(): number {
    return this.#spacing.from;
  }

  /** Whether another slice goes on from here, so that this one starts nothing more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether somebody waits to start a request. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** A request starts, which it may. */
  start(): void {
    this.#spacing.start(performance.now());
  }

  /** Calls `goOn` once the next request may start, after those that have waited longer. It may find that others were first. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
    this.#arm();
  }

  /** Ends the spacing of this slice, and says where. */
  handOver(): SpacingEnd {
    this.#isOver = true;
    const inMs = Number.isFinite(this.from) ? this.from - performance.now() : -Date.now();
    return { nextAtMs: Math.ceil(Date.now() + inMs), inMs: Math.ceil(inMs) };
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#waiting.length === 0) return;
    // A timer may fire a little early, and then finds that it has to wait once more.
    this.#timer = setTimeout(() => this.#goOn(), Math.max(0, Math.ceil(this.from - performance.now())));
  }

  #goOn(): void {
    this.#timer = undefined;
    // Each that starts a request moves the time of the next one; one that starts none, because the slice is over, does not.
    for (let left = this.#waiting.length; left > 0 && this.from <= performance.now(); left--) this.#waiting.shift()?.();
    this.#arm();
  }
}
