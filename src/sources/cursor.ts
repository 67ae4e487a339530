import type { z } from 'zod';
import { SourceError } from './source.ts';

/**
 * The place that a source's own cursor names.
 *
 * @param where what it should be a cursor of, as in "not a cursor of …"; for the error.
 * @throws SourceError for a cursor that this source did not make.
 */
export function readCursor<T extends z.ZodType>(cursor: string, schema: T, where: string): z.output<T> {
  try {
    return schema.parse(JSON.parse(cursor));
  } catch {
    throw new SourceError(
      `${JSON.stringify(cursor.slice(0, 100))} is not a cursor ${where}; another source made it. Start the backfill again.`,
    );
  }
}
