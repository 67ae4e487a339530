/** Calls `act` for every item, at most `most` at once. When one fails, it waits for those already running, then rejects with that failure. */
export async function forEachLimit<T>(
  items: Iterable<T> | AsyncIterable<T>,
  most: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  // All lanes take from one iterator.
  const rest = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const lane = async () => {
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) await act(next.value);
  };
  const lanes = Array.from({ length: most }, lane);
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}
