const TICK_MS = 50;

/** Something that is to end by a time. */
export interface Expiring {
  readonly deadlineAtMs: number;
  expire(): void;
}

/**
 * Watches over many requests by one ticking timer, since a timer for each would cost more than its
 * request on a fast endpoint. Times are of `performance.now()`.
 */
export class Deadlines {
  readonly #open = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;

  add(item: Expiring): void {
    this.#open.add(item);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  delete(item: Expiring): void {
    this.#open.delete(item);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const now = performance.now();
    for (const item of this.#open) {
      if (item.deadlineAtMs > now) continue;
      this.#open.delete(item);
      item.expire();
    }
    if (this.#open.size === 0) this.close();
  }
}
