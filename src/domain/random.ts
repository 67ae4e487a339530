/** One step of mulberry32: a small, well distributed, seedable generator. Jitter needs no more. */
export function nextChance(seed: number): { readonly chance: number; readonly seed: number } {
  const next = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(next ^ (next >>> 15), next | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return { chance: ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32, seed: next };
}
