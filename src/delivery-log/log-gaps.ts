import type { LogGap } from '../contract/delivery.ts';
import type { SqlQuery, SqlRow, TimeText } from './log-sql.ts';

/** A writer that lives writes at least every 10 s. */
const SILENT_MS = 60_000;
/** A writer that fell silent longer ago was killed, in most cases, and lost nothing after that. */
const OPEN_MS = 60 * 60 * 1000;

/**
 * The statement for the gaps in a time: of writers that dropped rows, of those that have not ended and are behind, and of workers that never wrote. The
 * writer of an API has no rows to lose.
 * @param now epoch ms. @param isExact whether each writer is behind that is not past the end. Default: one that fell silent.
 */
export function gapsQuery(sql: TimeText, now: number, since = '1970-01-02', until: string, isExact: boolean): SqlQuery {
  const [from, to] = [Date.parse(since), Date.parse(until)];
  const times = [from, to, from - OPEN_MS, isExact ? to : Math.min(to, now - SILENT_MS)];
  return {
    text: `SELECT writer, ${sql.timeText('began_at')} AS began, ${sql.timeText('written_at')} AS written, batches, dropped
FROM delivery_writers WHERE dropped > 0 AND written_at >= $1 AND began_at < $2
  OR ended_at IS NULL AND written_at >= $3 AND (batches = 0 AND began_at < $2
    OR batches > 0 AND written_at < $4 AND (rows > 0 OR writer LIKE '%/%'))
ORDER BY delivery_writers.ended_at IS NULL DESC, delivery_writers.written_at DESC LIMIT 100`,
    values: times.map((ms) => new Date(ms).toISOString()),
  };
}

export function gapOf({ writer, began, written, batches, dropped }: SqlRow): LogGap {
  const gap = { worker: String(writer).split(' ')[0] ?? '', dropped: Number(dropped) };
  if (gap.dropped > 0) return { ...gap, why: 'dropped', from: String(began), until: String(written) };
  if (Number(batches) > 0) return { ...gap, why: 'behind', from: String(written) };
  return { ...gap, why: 'unheard', from: String(began) };
}

/** The statement for since when the log has all rows, or counts, which are kept for longer. */
export function beginQuery(sql: TimeText, of: 'rows' | 'counts'): SqlQuery {
  const text = `SELECT ${sql.timeText('max(began_at)')} AS at FROM (
  SELECT min(began_at) AS began_at FROM delivery_writers WHERE batches > 0
  UNION ALL SELECT began_at FROM delivery_writers WHERE batches < 0 AND $1 = 'rows') AS begins`;
  return { text, values: [of] };
}
