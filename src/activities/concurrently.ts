/** Calls `act` for every item, at most `most` at once. When one fails, it waits for those already running, then rejects with that failure. */
export async function concurrently<T>(
  items: readonly T[],
  most: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await act(item);
  };
  const lanes = Array.from({ length: Math.min(most, items.length) }, lane);
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}
