const TICK_MS = 500;
/** A gap this long between ticks is more than a busy moment: the process or its machine was frozen. */
const STALL_MS = 3_000;
/** For this long afterwards, arriving tasks may have been sent while it was frozen. */
const SUSPECT_MS = 2_000;

/**
 * Notices when this process was frozen (a suspended machine, a paused container, a stopped process). The server then gives its slices to other
 * workers. A task that waited in a socket meanwhile would start one of them a second time.
 */
export class StallDetector {
  readonly #timer: NodeJS.Timeout;
  #lastTickAt = Date.now();
  #suspectUntil = 0;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Whether it was frozen until a moment ago. */
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
