import type { WatchSummary } from './watches.ts';
import { printable } from '../../domain/text.ts';
import { watchRows } from './sandbox/rows.ts';
import { field, fromNow } from '../../cli/text.ts';
import { rowLines } from '../../cli/render-jobs.ts';
import { type Paint, plain } from '../../cli/terminal.ts';

/** One watch for people, at most `columns` wide. */
export function watchLines(
  { audience, status, unreadable }: WatchSummary,
  { nowMs, columns = 80, paint = plain }: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const title = `${paint('bold', printable(audience.slug))} (${printable(audience.name)})`;
  if (unreadable !== undefined) return [title, ...field('State', paint('red', printable(unreadable)), columns)];
  if (status === undefined)
    return [title, ...field('State', paint('red', 'no worker answers; start one with: triggers worker'), columns)];
  const rows = watchRows(status, (at) => fromNow(at, nowMs), `triggers watch ${audience.slug} --accept`);
  return [title, ...field('Id', audience.id, columns), ...rowLines(rows, { columns, paint })];
}
