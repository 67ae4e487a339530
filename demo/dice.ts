import { nextChance } from '../src/domain/retry.ts';

/** Random numbers that are the same for the same seed. */
export class Dice {
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** From 0, below 1. */
  chance(): number {
    const { chance, seed } = nextChance(this.#seed);
    this.#seed = seed;
    return chance;
  }

  /** A whole number between the two, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.chance() * (most - least + 1));
  }

  /** @throws RangeError when there is nothing to choose from. */
  oneOf<T>(list: readonly T[]): T {
    const place = Math.floor(this.chance() * list.length);
    for (const item of list.slice(place, place + 1)) return item;
    throw new RangeError('There is nothing to choose from.');
  }
}
