import type { LogGap } from './delivery.ts';
import { type Dialect, raw, type Sql, sql, type SqlRow } from './log-sql.ts';

// The log's record of its writers: up to when their rows are there, and which they dropped.

/** A writer that lives writes at least every 10 s. */
const SILENT_MS = 60_000;
/** A writer that fell silent longer ago was killed, in most cases, and lost nothing after that. */
const OPEN_MS = 60 * 60 * 1000;

const ADD_WRITER = raw('INSERT INTO delivery_writers AS known (writer, began_at, written_at, batches, rows, dropped)');

/**
 * The statement that counts a batch, unless it was counted before: then no row comes back, and the batch is there. Another worker may have noted the
 * writer before, as one that never wrote.
 * @param wholeAt up to when the log has its rows.
 */
export function countBatch(writer: string, now: string, wholeAt: string, number: number, rows: number): Sql {
  return sql`${ADD_WRITER} VALUES (${writer}, ${now}, ${wholeAt}, ${number}, ${rows}, 0)
    ON CONFLICT (writer) DO UPDATE
    SET began_at = CASE WHEN known.batches = 0 THEN excluded.began_at ELSE known.began_at END,
      written_at = excluded.written_at, batches = excluded.batches, rows = known.rows + excluded.rows
    WHERE known.batches < excluded.batches RETURNING writer`;
}

/** The statement that notes rows that were dropped between two times. @param name of the row alone. */
export function noteDropped(name: string, from: string, to: string, dropped: number): Sql {
  return sql`INSERT INTO delivery_writers (writer, began_at, written_at, batches, rows, dropped, ended_at)
    VALUES (${name}, ${from}, ${to}, 0, 0, ${dropped}, ${to})`;
}

/** The statement that notes a worker that asks Temporal for work, although it has not written yet. */
export function noteUnheard(writer: string, began: string, seen: string): Sql {
  return sql`${ADD_WRITER} VALUES (${writer}, ${began}, ${seen}, 0, 0, 0)
    ON CONFLICT (writer) DO UPDATE SET written_at = excluded.written_at WHERE known.batches = 0`;
}

export function endWriter(writer: string): Sql {
  return sql`UPDATE delivery_writers SET ended_at = ${new Date().toISOString()} WHERE writer = ${writer}`;
}

/** The statement that notes that older rows are no longer kept. The row has no batch of its own. */
export function keepFrom(first: string, now: string): Sql {
  return sql`INSERT INTO delivery_writers AS known (writer, began_at, written_at, batches, rows, dropped, ended_at)
    VALUES ('kept', ${first}, ${now}, -1, 0, 0, ${now})
    ON CONFLICT (writer) DO UPDATE SET began_at = excluded.began_at, written_at = excluded.written_at
    WHERE known.began_at < excluded.began_at`;
}

/**
 * The statement for since when the log has all rows, or counts, which are kept for longer. With it come the gaps in a time: of writers that dropped rows,
 * of those that have not ended and are behind, and of workers that never wrote. The writer of an API has no rows to lose.
 * @param now epoch ms. @param isExact whether each writer is behind that is not past the end. Default: one that fell silent.
 */
export function gapsQuery(
  dialect: Dialect,
  now: number,
  { since = '1970-01-02', until }: { readonly since?: string | undefined; readonly until: string },
  isExact: boolean,
  of: 'rows' | 'counts',
): Sql {
  const iso = (ms: number): string => new Date(ms).toISOString();
  const [from, to] = [Date.parse(since), Date.parse(until)];
  return sql`SELECT ${dialect.timeText('begins.at')} AS begins, writer, ${dialect.timeText('began_at')} AS began,
      ${dialect.timeText('written_at')} AS written, batches, dropped
    FROM (SELECT max(began_at) AS at FROM (
      SELECT min(began_at) AS began_at FROM delivery_writers WHERE batches > 0
      UNION ALL SELECT began_at FROM delivery_writers WHERE batches < 0 AND ${of} = 'rows') AS ends) AS begins
    LEFT JOIN delivery_writers ON dropped > 0 AND written_at >= ${iso(from)} AND began_at < ${iso(to)}
      OR ended_at IS NULL AND written_at >= ${iso(from - OPEN_MS)} AND (batches = 0 AND began_at < ${iso(to)}
        OR batches > 0 AND written_at < ${iso(isExact ? to : Math.min(to, now - SILENT_MS))}
          AND (rows > 0 OR writer LIKE '%/%'))
    ORDER BY ended_at IS NULL DESC, written_at DESC LIMIT 100`;
}

/** The gap of a row, if it has one: it may only say since when there are rows. */
export function gapsOf({ writer, began, written, batches, dropped }: SqlRow): LogGap[] {
  if (writer === null) return [];
  const gap = { worker: String(writer).split(' ')[0] ?? '', dropped: Number(dropped) };
  if (gap.dropped > 0) return [{ ...gap, why: 'dropped', from: String(began), until: String(written) }];
  if (Number(batches) > 0) return [{ ...gap, why: 'behind', from: String(written) }];
  return [{ ...gap, why: 'unheard', from: String(began) }];
}
