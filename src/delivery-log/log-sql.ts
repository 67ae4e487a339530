import type { StoredRow } from './delivery-store.ts';

/** A statement and its values, `$1` for the first. */
export interface SqlQuery {
  readonly text: string;
  readonly values: readonly (string | number | null)[];
}

/** A row as a database gives it. */
export type SqlRow = Readonly<Record<string, string | number | null>>;

/** How a database writes times in its statements. */
export interface TimeText {
  /** The expression for a time as RFC 3339. */
  timeText(column: string): string;
  /** The expression for the time a minute before. */
  minuteBefore(column: string): string;
  /** The expressions for the instant that a text of RFC 3339 names: whole seconds, and the fraction of the next one. */
  instantOf(column: string): readonly [seconds: string, fraction: string];
}

/** The database of a delivery log, as it is read. */
export interface LogSql extends TimeText {
  /**
   * Returns nothing as long as no worker has made the tables.
   * @throws DeliveryLogError
   */
  query(query: SqlQuery): Promise<readonly SqlRow[]>;
  /** Asks writers to say how far they have written. Absent: they say it every second. */
  ask?(): Promise<void>;
  close(): Promise<void>;
}

/** The expression for a text of RFC 3339 without its fraction of a second. */
export function secondsOf(column: string): string {
  return `substr(${column}, 1, 19) || ltrim(substr(${column}, 20), '.0123456789')`;
}

/** Columns of a delivery, in the order in which they are written. */
export const COLUMNS = [
  'at',
  'job_id',
  'delivery_id',
  'batch_id',
  'person',
  'audience',
  'event',
  'trigger_at',
  'attempt',
  'verdict',
  'status',
  'code',
  'duration_ms',
  'request_bytes',
  'answer',
  'worker',
  'lane',
  'sequence',
  'exchange',
] as const;

/** The values of a row, one for each column. */
export function valuesOf(row: StoredRow): (string | number | undefined)[] {
  const { at, jobId, deliveryId, batchId, user, audience, event, triggerAt, attempt, verdict, status, code } = row;
  const { durationMs, requestBytes, answer, worker, lane, sequence, exchange } = row;
  const trigger = [at, jobId, deliveryId, batchId, user, audience, event, triggerAt];
  return [
    ...trigger,
    attempt,
    verdict,
    status,
    code,
    durationMs,
    requestBytes,
    answer,
    worker,
    lane,
    sequence,
    exchange,
  ];
}

/** Each serves a question of `delivery-query.ts`. */
export const MAKE_INDEXES = `CREATE INDEX IF NOT EXISTS deliveries_at ON deliveries (at);
CREATE INDEX IF NOT EXISTS deliveries_job ON deliveries (job_id, at);
CREATE INDEX IF NOT EXISTS deliveries_person ON deliveries (person, at);
CREATE INDEX IF NOT EXISTS deliveries_id ON deliveries (delivery_id);
CREATE INDEX IF NOT EXISTS deliveries_batch ON deliveries (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_failed ON deliveries (job_id, at) WHERE verdict <> 'delivered';`;

export type RollupTable = 'delivery_minutes' | 'delivery_hours' | 'delivery_days';

/** The end of a statement that adds rollups to a table. */
export const ADD_TO_KNOWN = `ON CONFLICT (job_id, began, verdict, outcome, bucket)
DO UPDATE SET count = known.count + excluded.count`;

/** Statements about a writer. Its name is `$1`. */
export const WRITER = {
  /**
   * Counts a batch, unless it was counted before: then no row comes back, and the batch is there. `written_at` ($3) says up to when the log has its rows.
   * Another worker may have noted it before, as one that never wrote.
   */
  countBatch: `
INSERT INTO delivery_writers AS known (writer, began_at, written_at, batches, rows, dropped)
VALUES ($1, $2, $3, $4, $5, 0)
ON CONFLICT (writer) DO UPDATE
SET began_at = CASE WHEN known.batches = 0 THEN excluded.began_at ELSE known.began_at END,
  written_at = excluded.written_at, batches = excluded.batches, rows = known.rows + excluded.rows
WHERE known.batches < excluded.batches
RETURNING writer`,
  /** Notes that it dropped rows between two times. Such a row has a name of its own. */
  noteDropped: `
INSERT INTO delivery_writers (writer, began_at, written_at, batches, rows, dropped, ended_at)
VALUES ($1, $2, $3, 0, 0, $4, $3)`,
  /** Notes a worker that asks Temporal for work, and was last seen at $3, although it has not written yet. */
  noteUnheard: `
INSERT INTO delivery_writers AS known (writer, began_at, written_at, batches, rows, dropped) VALUES ($1, $2, $3, 0, 0, 0)
ON CONFLICT (writer) DO UPDATE SET written_at = excluded.written_at WHERE known.batches = 0`,
  end: 'UPDATE delivery_writers SET ended_at = $2 WHERE writer = $1',
  /** Notes that older rows are no longer kept. The row has no batch of its own. */
  keepFrom: `
INSERT INTO delivery_writers AS known (writer, began_at, written_at, batches, rows, dropped, ended_at)
VALUES ('kept', $1, $2, -1, 0, 0, $2)
ON CONFLICT (writer) DO UPDATE SET began_at = excluded.began_at, written_at = excluded.written_at
WHERE known.began_at < excluded.began_at`,
};
