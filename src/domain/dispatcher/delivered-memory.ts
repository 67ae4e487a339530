import { REMEMBERED_DELIVERIES } from '../limits.ts';

/** Keys of the last deliveries: what is signalled again soon after is a repeat. */
export class DeliveredMemory {
  readonly #keys: Set<string>;
  readonly #most: number;

  constructor(carried: readonly string[] = [], most: number = REMEMBERED_DELIVERIES) {
    this.#keys = new Set(carried);
    this.#most = most;
  }

  get size(): number {
    return this.#keys.size;
  }

  knows(key: string): boolean {
    return this.#keys.has(key);
  }

  remember(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
    for (const oldest of this.#keys) {
      if (this.#keys.size <= this.#most) return;
      this.#keys.delete(oldest);
    }
  }

  carry(): string[] {
    return [...this.#keys];
  }
}
