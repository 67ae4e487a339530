/** Calls `act` for every item, at most `most` at once. A failure ends one of the runners; the others go on to the end, then it rejects. */
export async function forEachLimit<T>(
  items: Iterable<T> | AsyncIterable<T>,
  most: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  // All runners take from one iterator.
  const rest = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const runner = async () => {
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) await act(next.value);
  };
  const runners = Array.from({ length: most }, runner);
  await Promise.allSettled(runners);
  await Promise.all(runners);
}
