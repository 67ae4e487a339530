export interface LookUpOptions {
  readonly users: readonly string[];
  /** Most look-ups under way. */
  readonly atOnce: number;
  /** After so long, in ms, none is begun. */
  readonly budgetMs: number;
  /** Looks one person up and puts down what it finds. */
  readonly lookUp: (user: string) => Promise<void>;
  /** Makes the error when the time did not suffice. */
  readonly tooSlow: (reason: string) => Error;
}

/**
 * Looks people up one by one, several at once. None is begun after one has failed, or when the time is over; it then rejects: a map without
 * those who were not asked for would say that nobody knows them.
 */
export async function lookUpEach({ users, atOnce, budgetMs, lookUp, tooSlow }: LookUpOptions): Promise<void> {
  const endsAtMs = performance.now() + budgetMs;
  let next = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (!hasFailed && performance.now() < endsAtMs) {
      const user = users[next];
      if (user === undefined) return;
      next++;
      try {
        await lookUp(user);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, users.length) }, lane));
  if (next < users.length) throw tooSlow(`only ${next} of ${users.length} in ${budgetMs / 1000} s`);
}
