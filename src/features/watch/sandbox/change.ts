import { LONGEST_WATCH_MS, SHORTEST_WATCH_MS } from '../../../contract/duration.ts';
import { unknownKeys } from '../../../contract/nearest-key.ts';
import { definedOf, isRecord } from '../../../domain/json.ts';
import { flag, type Kind, whole, wrongValues } from '../../../domain/kinds.ts';
import { hasSurplus, objectOf, readingOf, refused, type RequestReading } from '../../../domain/requests.ts';
import type { WatchChange } from './watch.ts';

const WATCH_CHANGE: Readonly<Record<keyof WatchChange, Kind>> = {
  everyMs: whole(SHORTEST_WATCH_MS, LONGEST_WATCH_MS),
  existingUsers: flag,
  largestExitPercent: whole(1, 100),
};

/** Reads the argument of a watch's `change`: unlike in other requests, null is no way to leave an option as it is. */
export function readWatchChange(args: readonly unknown[]): RequestReading<WatchChange> {
  const [change] = args;
  if (!isRecord(change) || hasSurplus(args))
    return refused([{ field: '', message: `A change to a watch is one argument, ${objectOf(WATCH_CHANGE)}.` }]);
  const problems = [...unknownKeys(change, Object.keys(WATCH_CHANGE)), ...wrongValues(change, WATCH_CHANGE)];
  return readingOf(definedOf(change), problems);
}
