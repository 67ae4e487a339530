import type { LogGap } from '../contract/delivery.ts';
import type { SqlQuery, SqlRow, TimeText } from './log-sql.ts';

/** A writer that lives writes at least every 10 s. */
const SILENT_MS = 60_000;
/** A writer that fell silent longer ago was killed, in most cases, and lost nothing after that. */
const OPEN_MS = 60 * 60 * 1000;

/**
 * The statement for the gaps in a time: of writers that dropped rows, and of those that fell silent. One that never had a row, as that of an API, has
 * none to lose. @param now epoch ms.
 */
export function gapsQuery(sql: TimeText, now: number, since = '1970-01-02', until?: string): SqlQuery {
  const [from, to] = [Date.parse(since), until === undefined ? now : Date.parse(until)];
  const times = [from, to, from - OPEN_MS, Math.min(to, now - SILENT_MS)];
  return {
    text: `SELECT writer, ${sql.timeText('began_at')} AS began, ${sql.timeText('written_at')} AS written, dropped
FROM delivery_writers WHERE dropped > 0 AND written_at >= $1 AND began_at < $2
  OR ended_at IS NULL AND rows > 0 AND written_at >= $3 AND written_at < $4
ORDER BY delivery_writers.written_at DESC LIMIT 100`,
    values: times.map((ms) => new Date(ms).toISOString()),
  };
}

export function gapOf({ writer, began, written, dropped }: SqlRow): LogGap {
  const [worker = ''] = String(writer).split(' ');
  const times = Number(dropped) > 0 ? { from: String(began), until: String(written) } : { from: String(written) };
  return { worker, ...times, dropped: Number(dropped) };
}
