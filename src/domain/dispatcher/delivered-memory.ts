import { shortKey } from '../delivery-id.ts';
import { REMEMBERED_DELIVERIES } from '../limits.ts';

/**
 * The last deliveries, as texts: what is signalled again soon afterwards is a repeat. Those of this run are kept in full and those of
 * earlier runs as short keys, since in the sandbox a hash takes longer than everything else that is decided about a trigger.
 */
export class DeliveredMemory {
  readonly #carried: Set<string>;
  readonly #recent = new Set<string>();
  readonly #most: number;

  constructor(carried: readonly string[] = [], most: number = REMEMBERED_DELIVERIES) {
    this.#carried = new Set(carried);
    this.#most = most;
  }

  get size(): number {
    return this.#carried.size + this.#recent.size;
  }

  knows(text: string): boolean {
    return this.#recent.has(text) || (this.#carried.size > 0 && this.#carried.has(shortKey(text)));
  }

  remember(text: string): void {
    this.#recent.delete(text);
    this.#recent.add(text);
    for (const older of [this.#carried, this.#recent]) {
      for (const oldest of older) {
        if (this.size <= this.#most) return;
        older.delete(oldest);
      }
    }
  }

  carry(): string[] {
    return [...this.#carried, ...[...this.#recent].map(shortKey)];
  }
}
