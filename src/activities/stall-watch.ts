const TICK_MS = 500;
/** A gap this long between ticks is no busy moment: the process, or its machine, stood still. */
const STALL_MS = 3_000;
/** For this long after it what arrives may be what came while it stood still. */
const SUSPECT_MS = 2_000;

/**
 * Notices when this process stood still (a suspended machine, a frozen container, a stopped process): the server then gives its slices
 * to others, and an answer that waited in a socket meanwhile would start one of them a second time.
 */
export class StallWatch {
  readonly #timer: NodeJS.Timeout;
  #lastTickAt = Date.now();
  #suspectUntil = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Whether it stands still no longer than since a moment ago. */
  hasStalled(): boolean {
    this.#tick();
    return Date.now() < this.#suspectUntil;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = Date.now();
    if (now - this.#lastTickAt > STALL_MS) this.#suspectUntil = now + SUSPECT_MS;
    this.#lastTickAt = now;
  }
}
