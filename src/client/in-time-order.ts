/** Enough for what a history records late, which is what came while the workflow was busy. */
const WINDOW = 1_000;

/** The same items in order of time, provided that none is more than a thousand places out of order. */
export async function* inTimeOrder<T>(events: AsyncIterable<T>, timeOf: (event: T) => string): AsyncGenerator<T> {
  const held: T[] = [];
  for await (const event of events) {
    let place = held.length;
    while (place > 0 && timeOf(held[place - 1] as T) > timeOf(event)) place--; // It is there: 0 <= place - 1 < length.
    held.splice(place, 0, event);
    if (held.length > WINDOW) yield* held.splice(0, 1);
  }
  yield* held;
}
