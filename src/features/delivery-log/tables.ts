import type { DeliveryRow } from './delivery.ts';
import type { StoredRow } from './delivery-store.ts';
import { type Dialect, listed, raw, sql, type Sql, type SqlRow, textOf } from './log-sql.ts';

/** A field of a delivery: its column, and its attribute in OTLP. In this order it is written and shown. */
const FIELDS = {
  at: { column: 'at', is: 'time NOT NULL', otlp: undefined },
  jobId: { column: 'job_id', is: 'text NOT NULL', otlp: 'triggers.job_id' },
  deliveryId: { column: 'delivery_id', is: 'id NOT NULL', otlp: 'triggers.webhook_id' },
  batchId: { column: 'batch_id', is: 'id', otlp: 'triggers.batch_id' },
  user: { column: 'person', is: 'text NOT NULL', otlp: 'triggers.user' },
  audience: { column: 'audience', is: 'text NOT NULL', otlp: 'triggers.audience' },
  event: { column: 'event', is: 'text NOT NULL', otlp: 'triggers.event' },
  triggerAt: { column: 'trigger_at', is: 'text NOT NULL', otlp: 'triggers.at' },
  attempt: { column: 'attempt', is: 'integer NOT NULL', otlp: 'triggers.attempt' },
  verdict: { column: 'verdict', is: 'text NOT NULL', otlp: 'triggers.verdict' },
  status: { column: 'status', is: 'smallint', otlp: 'http.response.status_code' },
  code: { column: 'code', is: 'text', otlp: 'error.type' },
  durationMs: { column: 'duration_ms', is: 'real NOT NULL', otlp: 'triggers.duration_ms' },
  requestBytes: { column: 'request_bytes', is: 'integer NOT NULL', otlp: 'http.request.body.size' },
  answer: { column: 'answer', is: 'text', otlp: 'triggers.answer' },
  worker: { column: 'worker', is: 'text NOT NULL', otlp: 'triggers.worker' },
  lane: { column: 'lane', is: 'text NOT NULL', otlp: 'triggers.lane' },
  sequence: { column: 'sequence', is: 'bigint NOT NULL DEFAULT 0', otlp: 'triggers.sequence' },
  exchange: { column: 'exchange', is: 'text', otlp: 'triggers.exchange' },
} as const satisfies Record<keyof StoredRow, { column: string; is: string; otlp: string | undefined }>;

/** The fields of a delivery with their columns. */
export const DELIVERY_FIELDS = Object.entries(FIELDS).map(([field, { column, is, otlp }]) => ({
  field: field as keyof StoredRow, // `FIELDS` has no others.
  column,
  otlp,
  read: /^(?:text|time|id)\b/.test(is) ? String : Number,
}));
const NAMES = DELIVERY_FIELDS.map(({ field }) => field);
const SHOWN_FIELDS = DELIVERY_FIELDS.filter(({ field }) => field !== 'exchange');

/** The columns of a table with their definitions. A `time` and an `id` have types of their own in each database. */
type Columns = Readonly<Record<string, string>>;

export const DELIVERIES: Columns = Object.fromEntries(Object.values(FIELDS).map(({ column, is }) => [column, is]));
export const WRITERS = columnsOf(`writer text PRIMARY KEY, began_at time NOT NULL, written_at time NOT NULL,
  batches bigint NOT NULL, rows bigint NOT NULL, dropped bigint NOT NULL, ended_at time`);
export const ROLLUP_KEY = 'job_id, began, verdict, outcome, bucket';
export const ROLLUP = columnsOf(
  'job_id text, began bigint, verdict text, outcome text, bucket smallint, count bigint NOT NULL',
);
export const DEEDS =
  columnsOf(`id text PRIMARY KEY, at time NOT NULL, job_id text, kind text NOT NULL, target text NOT NULL,
  action text NOT NULL, who text, door text NOT NULL, reason text, details text NOT NULL`);

function columnsOf(text: string): Columns {
  return Object.fromEntries(
    text.split(/,\s*/).map((column) => [column.split(' ')[0], column.slice(column.indexOf(' ') + 1)]),
  );
}

/** The statement that makes a table, unless it is there. @param key of several columns. */
export function makeTable(dialect: Dialect, name: string, columns: Columns, key?: string): string {
  const definitions = Object.entries(columns).map(([column, is]) => `${column} ${typedIn(dialect, is)}`);
  if (key !== undefined) definitions.push(`PRIMARY KEY (${key})`);
  return `CREATE TABLE IF NOT EXISTS ${name} (${definitions.join(', ')})`;
}

/** Each serves a question of `delivery-query.ts`. */
export const INDEX_DELIVERIES = `CREATE INDEX IF NOT EXISTS deliveries_at ON deliveries (at);
CREATE INDEX IF NOT EXISTS deliveries_job ON deliveries (job_id, at);
CREATE INDEX IF NOT EXISTS deliveries_person ON deliveries (person, at);
CREATE INDEX IF NOT EXISTS deliveries_id ON deliveries (delivery_id);
CREATE INDEX IF NOT EXISTS deliveries_batch ON deliveries (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_failed ON deliveries (job_id, at) WHERE verdict <> 'delivered'`;

/** Each serves a question of `deeds.ts`. */
export const INDEX_DEEDS = `CREATE INDEX IF NOT EXISTS deeds_at ON deeds (at, id);
CREATE INDEX IF NOT EXISTS deeds_who ON deeds (who, at, id);
CREATE INDEX IF NOT EXISTS deeds_job ON deeds (job_id, at, id)`;

/** The columns, with the time as RFC 3339. In an ORDER BY, that hides the column of the same name. */
export function selected(dialect: Dialect, columns: readonly string[]): Sql {
  return listed(columns.map((column) => (column === 'at' ? sql`${dialect.timeText('at')} AS at` : raw(column))));
}

/** The statement that adds rows. Each is a list in the order of the columns. */
export function insertRows(
  dialect: Dialect,
  table: string,
  columns: Columns,
  rows: readonly (readonly (string | number | null | undefined)[])[],
): Sql {
  const values = Object.values(columns).map((is, i) => `CAST(value ->> ${i} AS ${typedIn(dialect, is).split(' ')[0]})`);
  const elements = dialect.elementsOf(JSON.stringify(rows.map((row) => row.map(textOf))));
  // Without WHERE, SQLite would read the ON of a conflict as a part of the FROM.
  return sql`INSERT INTO ${raw(table)} AS known (${raw(Object.keys(columns).join(', '))})
    SELECT ${raw(values.join(', '))} FROM ${elements} WHERE true`;
}

function typedIn({ types }: Dialect, is: string): string {
  return is.replace(/^(?:time|id)\b/, (type) => types[type === 'time' ? 'time' : 'id']);
}

/** The values of a delivery, one for each column. */
export function valuesOf(row: StoredRow): (string | number | undefined)[] {
  return NAMES.map((field) => row[field]);
}

/** A delivery, from a row that a worker wrote. */
export function deliveryRowOf(found: SqlRow): DeliveryRow {
  const row: Record<string, string | number> = {};
  for (const { field, column, read } of SHOWN_FIELDS) {
    const value = found[column];
    if (value != null) row[field] = read(value);
  }
  return row as unknown as DeliveryRow; // The columns are not null where the fields are needed.
}
