export interface LookUpOptions<T> {
  /** People, or groups of them. */
  readonly items: readonly T[];
  /** Most look-ups at once. */
  readonly atOnce: number;
  /** No look-up is begun after this long, in ms. */
  readonly budgetMs: number;
  /** Looks one up and stores what it finds. */
  readonly lookUp: (item: T) => Promise<void>;
  /** Makes the error for when there was not enough time. */
  readonly tooSlow: (reason: string) => Error;
}

/**
 * Looks people up one by one, several at a time. None is begun after one has failed or the time is over. It then rejects, since a map
 * without those who were not asked about would mean that they are not known.
 */
export async function lookUpEach<T>({ items, atOnce, budgetMs, lookUp, tooSlow }: LookUpOptions<T>): Promise<void> {
  const endsAtMs = performance.now() + budgetMs;
  let next = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (!hasFailed && performance.now() < endsAtMs) {
      const item = items[next];
      if (item === undefined) return;
      next++;
      try {
        await lookUp(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  if (next < items.length) throw tooSlow(`only ${next} of ${items.length} in ${budgetMs / 1000} s`);
}
