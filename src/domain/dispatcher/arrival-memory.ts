import { REMEMBERED_ARRIVALS } from '../limits.ts';

/**
 * When whom a live trigger told about last: a page of members read before that is older news about them.
 * Holds the last few thousand; what it forgot is known by its time.
 */
export class ArrivalMemory {
  readonly #at = new Map<string, number>();
  /** Arrivals up to this epoch ms may have been forgotten. */
  #forgottenUntil: number;

  readonly #most: number;

  constructor(
    carried: readonly (readonly [string, number])[] = [],
    forgottenUntil = 0,
    most: number = REMEMBERED_ARRIVALS,
  ) {
    this.#most = most;
    for (const [key, at] of carried) this.#at.set(key, at);
    this.#forgottenUntil = forgottenUntil;
  }

  get size(): number {
    return this.#at.size;
  }

  get forgottenUntil(): number {
    return this.#forgottenUntil;
  }

  remember(key: string, now: number): void {
    this.#at.delete(key);
    this.#at.set(key, now);
    for (const [oldest, at] of this.#at) {
      if (this.#at.size <= this.#most) return;
      this.#at.delete(oldest);
      this.#forgottenUntil = Math.max(this.#forgottenUntil, at);
    }
  }

  /** Whether a live trigger with this key arrived at `since` or later. */
  knows(key: string, since: number): boolean {
    return (this.#at.get(key) ?? -1) >= since;
  }

  /** Lets go of what arrived before `epochMs`, which nobody will ask for. */
  forgetBefore(epochMs: number): void {
    for (const [key, at] of this.#at) {
      if (at >= epochMs) break;
      this.#at.delete(key);
      this.#forgottenUntil = Math.max(this.#forgottenUntil, at);
    }
  }

  carry(): [string, number][] {
    return [...this.#at];
  }
}
