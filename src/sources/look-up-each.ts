export interface LookUpOptions<T> {
  /** People, or groups of them. */
  readonly items: readonly T[];
  /** Most look-ups under way. */
  readonly atOnce: number;
  /** After so long, in ms, none is begun. */
  readonly budgetMs: number;
  /** Looks one up and puts down what it finds. */
  readonly lookUp: (item: T) => Promise<void>;
  /** Makes the error when the time did not suffice. */
  readonly tooSlow: (reason: string) => Error;
}

/**
 * Looks people up one by one, several at once. None is begun after one has failed, or when the time is over; it then rejects: a map without
 * those who were not asked about would say that nobody knows them.
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
