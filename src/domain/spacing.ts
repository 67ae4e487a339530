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
