import type { FailedAttempt, HalvedBatches, SliceProgress } from '../contract/slice.ts';

/** Which triggers of a slice are settled: what heartbeats report. */
export class SettledTriggers {
  readonly #delivered: Uint8Array;
  #deliveredCount = 0;
  readonly failed = new Map<number, FailedAttempt>();
  /** Which of them go in smaller batches, since a larger one was refused. */
  halved: HalvedBatches = [];

  constructor(size: number) {
    this.#delivered = new Uint8Array(size);
  }

  /** How many are settled, delivered or failed. */
  get count(): number {
    return this.#deliveredCount + this.failed.size;
  }

  deliver(index: number): void {
    if (this.#delivered[index] === 0) this.#deliveredCount++;
    this.#delivered[index] = 1;
  }

  isDelivered(index: number): boolean {
    return this.#delivered[index] === 1;
  }

  /** Places that are neither delivered nor failed. */
  unsent(): number[] {
    const unsent: number[] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1 && !this.failed.has(index)) unsent.push(index);
    }
    return unsent;
  }

  /** What is halved and not delivered; nothing where nothing is. */
  openHalved(): { readonly halved?: HalvedBatches } {
    const halved = this.halved.filter(([place]) => !this.isDelivered(place));
    return halved.length === 0 ? {} : { halved };
  }

  progress(): SliceProgress {
    const ranges: [number, number][] = [];
    for (let index = 0; index < this.#delivered.length; index++) {
      if (this.#delivered[index] !== 1) continue;
      const last = ranges.at(-1);
      if (last !== undefined && last[1] === index - 1) last[1] = index;
      else ranges.push([index, index]);
    }
    return { delivered: ranges, failed: [...this.failed.values()], ...this.openHalved() };
  }
}
