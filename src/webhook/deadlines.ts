const TICK_MS = 50;

/** Something that must end by a deadline. */
export interface Expiring {
  readonly deadlineAtMs: number;
  expire(): void;
}

/**
 * Enforces the deadlines of many requests with one interval timer, since on a fast endpoint a timer for each would cost more than the request
 * itself. Times are those of `performance.now()`.
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
