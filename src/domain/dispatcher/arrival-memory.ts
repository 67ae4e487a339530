import { shortKey } from '../delivery-id.ts';
import { REMEMBERED_ARRIVALS } from '../limits.ts';

/**
 * When the last live trigger about each person and audience arrived: a page of members that was read before then is older news about them.
 * Keeps the last few thousand, those of earlier runs by short keys (see DeliveredMemory), and knows up to what time it may have forgotten
 * some.
 */
export class ArrivalMemory {
  readonly #carried: Map<string, number>;
  readonly #recent = new Map<string, number>();
  /** Arrivals up to this epoch ms may have been forgotten. */
  #forgottenUntil: number;

  readonly #most: number;

  constructor(
    carried: readonly (readonly [string, number])[] = [],
    forgottenUntil = 0,
    most: number = REMEMBERED_ARRIVALS,
  ) {
    this.#most = most;
    this.#carried = new Map(carried);
    this.#forgottenUntil = forgottenUntil;
  }

  get size(): number {
    return this.#carried.size + this.#recent.size;
  }

  get forgottenUntil(): number {
    return this.#forgottenUntil;
  }

  remember(text: string, now: number): void {
    this.#recent.delete(text);
    this.#recent.set(text, now);
    this.#forgetWhile(() => this.size > this.#most);
  }

  /** Whether a live trigger with this text arrived at `since` or later. */
  knows(text: string, since: number): boolean {
    if ((this.#recent.get(text) ?? -1) >= since) return true;
    return this.#carried.size > 0 && (this.#carried.get(shortKey(text)) ?? -1) >= since;
  }

  /** Forgets what arrived before `epochMs`, which will not be asked for. */
  forgetBefore(epochMs: number): void {
    this.#forgetWhile((at) => at < epochMs);
  }

  carry(): [string, number][] {
    return [...this.#carried, ...[...this.#recent].map(([text, at]): [string, number] => [shortKey(text), at])];
  }

  /** From the oldest on. */
  #forgetWhile(isToGo: (at: number) => boolean): void {
    for (const older of [this.#carried, this.#recent]) {
      for (const [key, at] of older) {
        if (!isToGo(at)) return;
        older.delete(key);
        this.#forgottenUntil = Math.max(this.#forgottenUntil, at);
      }
    }
  }
}
