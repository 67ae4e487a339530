import { z } from 'zod';
import { type LoopMark, NO_PAGES } from '../loop-mark.ts';
import { readCursor } from '../read-cursor.ts';
import { SourceError } from '../source-error.ts';

/** Where a scan of a segment is. */
export interface ScanPlace {
  /** Lytics' `_next`; empty at the beginning. */
  readonly start: string;
  /** Rows of this scan before it. */
  readonly read: number;
  /** How many rows the scan has in all, as Lytics last said; 0 when it has not said. */
  readonly total: number;
  /** The ids that were returned last, to find the place again in another scan. */
  readonly last: readonly string[];
  readonly loop: LoopMark;
  /** This scan was begun because another could not continue: nobody is returned until one of these ids is found, near `read` rows. */
  readonly behind?: { readonly ids: readonly string[]; readonly read: number } | undefined;
  /** How many scans have been restarted since the last one that found its place again. */
  readonly restarts: number;
  /** Rows before the place where a scan ended early and was restarted; when the next one ends there too, that is the end. */
  readonly endedAt?: number | undefined;
}

export const BEGINNING: ScanPlace = {
  start: '',
  read: 0,
  total: 0,
  last: [],
  loop: NO_PAGES,
  restarts: 0,
};

const ids = z.array(z.string()).max(5);
const count = z.number().int().min(0);
const placeSchema = z.object({
  start: z.string(),
  read: count,
  total: count,
  last: ids,
  loop: z.object({ pages: count, mark: z.string() }),
  behind: z.object({ ids, read: count }).optional(),
  restarts: count,
  endedAt: count.optional(),
});

/** Bounded, since a cursor is in a workflow's state and in many of its events. */
const MAX_START_LENGTH = 4096;

/** @throws SourceError when Lytics says where to go on with more than can be kept. */
export function cursorOf(place: ScanPlace): string {
  if (place.start.length > MAX_START_LENGTH)
    throw new SourceError(`Lytics' "_next" has more than ${MAX_START_LENGTH} characters; that is too long to be kept.`);
  return JSON.stringify(place);
}

/** @throws SourceError when a text is no cursor of this source. */
export function placeOf(cursor: string | undefined): ScanPlace {
  return cursor === undefined ? BEGINNING : readCursor(cursor, placeSchema, 'of a scan of Lytics');
}
