import type { DeliveryFilter, DeliveryRow } from '../contract/delivery.ts';
import { NO_FAILURES } from '../domain/verdict.ts';
import { COLUMNS, type SqlQuery, type SqlRow, type TimeText } from './log-sql.ts';

/** The place of a row in the order of pages: after it, the next page begins. */
type DeliveryCursor = readonly [at: string, sequence: number, deliveryId: string, attempt: number];

type Value = SqlQuery['values'][number];

const PAGE_COLUMNS = COLUMNS.filter((column) => column !== 'exchange');
/** Greater than any character of a delivery id. */
const AFTER_ALL = '~';
const MOST_ATTEMPTS = 50;

/** The values of a statement, and what takes one into it and returns its place there. */
export function newValues() {
  const values: Value[] = [];
  return { values, value: (one: Value): string => `$${values.push(textOf(one))}` };
}

/** The statement for a page of deliveries, newest first. */
export function deliveryQuery(sql: TimeText, filter: DeliveryFilter, limit: number, after?: DeliveryCursor): SqlQuery {
  const { values, value } = newValues();
  const where = conditionsOf(filter, value);
  if (after !== undefined) where.push(`(at, sequence, delivery_id, attempt) < (${after.map(value).join(', ')})`);
  const order = 'deliveries.at DESC, sequence DESC, delivery_id DESC, attempt DESC';
  return { text: `${selected(sql, PAGE_COLUMNS)}${all(where)} ORDER BY ${order} LIMIT ${value(limit)}`, values };
}

/** The statement for what was sent and answered in the request for this batch, newest first: each attempt of it has one such row. */
export function batchQuery(sql: TimeText, batchId: string): SqlQuery {
  return {
    text: `${selected(sql, COLUMNS)} WHERE batch_id = $1 AND exchange IS NOT NULL ORDER BY deliveries.at LIMIT ${MOST_ATTEMPTS}`,
    values: [batchId],
  };
}

/** The statement for all attempts with this `webhook-id`, or one that begins so, oldest first, with what was sent and answered. */
export function attemptsQuery(sql: TimeText, which: Pick<DeliveryFilter, 'deliveryId' | 'onlyJobs'>): SqlQuery {
  const { values, value } = newValues();
  const where = conditionsOf(which, value);
  const order = 'deliveries.at, sequence, delivery_id, attempt';
  return { text: `${selected(sql, COLUMNS)}${all(where)} ORDER BY ${order} LIMIT ${MOST_ATTEMPTS}`, values };
}

/** The statement for the time of the oldest delivery. */
export function oldestQuery(sql: TimeText): SqlQuery {
  return { text: `SELECT ${sql.timeText('min(at)')} AS at FROM deliveries`, values: [] };
}

function selected(sql: TimeText, columns: readonly string[]): string {
  const names = columns.map((column) => (column === 'at' ? `${sql.timeText('at')} AS at` : column));
  return `SELECT ${names.join(', ')} FROM deliveries`;
}

function all(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
}

/** @param value as of `newValues`. */
export function conditionsOf(filter: DeliveryFilter, value: (one: Value) => string): string[] {
  const { onlyJobs, deliveryId, verdict, slowerThanMs, since, until } = filter;
  const equal = (column: string, wanted: Value | undefined): string[] =>
    wanted === undefined ? [] : [`${column} = ${value(wanted)}`];
  const begins = (column: string, id: string): string =>
    `${column} >= ${value(id)} AND ${column} < ${value(id + AFTER_ALL)}`;
  return [
    ...equal('job_id', filter.jobId),
    ...(onlyJobs === undefined ? [] : [`job_id IN (${onlyJobs.map(value).join(', ') || 'NULL'})`]),
    ...equal('person', filter.user),
    ...equal('audience', filter.audience),
    ...equal('event', filter.event),
    ...equal('status', filter.status),
    // The index of rows that were not delivered needs to be told so; those with a code were not.
    ...(filter.code === undefined ? [] : [...equal('code', filter.code), "verdict <> 'delivered'"]),
    ...(deliveryId === undefined
      ? []
      : [`(${begins('delivery_id', deliveryId)} OR ${begins('batch_id', deliveryId)})`]),
    ...(verdict === 'failed'
      ? ["verdict <> 'delivered'", `verdict NOT IN (${NO_FAILURES.map(value).join(', ')})`]
      : equal('verdict', verdict)),
    ...(slowerThanMs === undefined ? [] : [`duration_ms > ${value(slowerThanMs)}`]),
    ...(since === undefined ? [] : [`at >= ${value(inMilliseconds(since))}`]),
    ...(until === undefined ? [] : [`at < ${value(inMilliseconds(until))}`]),
  ];
}

/** PostgreSQL has no NUL in its texts; rows are written in the same way. */
export function textOf(value: Value): Value {
  return typeof value === 'string' ? value.replaceAll('\0', '\uFFFD') : value;
}

/** SQLite compares texts, so that all times need the same form. */
export function inMilliseconds(time: string): string {
  return new Date(time).toISOString();
}

/** A delivery, from a row that a worker wrote. */
export function deliveryRowOf(found: SqlRow): DeliveryRow {
  const text = (column: string): string => String(found[column] ?? '');
  const { batch_id: batchId, status, code, answer } = found;
  return {
    at: text('at'),
    jobId: text('job_id'),
    deliveryId: text('delivery_id'),
    ...(batchId == null ? {} : { batchId: String(batchId) }),
    user: text('person'),
    audience: text('audience'),
    // Workers wrote these three.
    event: text('event') as DeliveryRow['event'],
    triggerAt: text('trigger_at'),
    attempt: Number(found['attempt']),
    verdict: text('verdict') as DeliveryRow['verdict'],
    ...(status == null ? {} : { status: Number(status) }),
    ...(code == null ? {} : { code: String(code) }),
    durationMs: Number(found['duration_ms']),
    requestBytes: Number(found['request_bytes']),
    ...(answer == null ? {} : { answer: String(answer) }),
    worker: text('worker'),
    lane: text('lane') as DeliveryRow['lane'],
    sequence: Number(found['sequence'] ?? 0),
  };
}

/** Where a page that ends with this row continues. */
export function cursorAfter({ at, sequence, deliveryId, attempt }: DeliveryRow): string {
  return cursorOf([at, sequence, deliveryId, attempt]);
}

/** Where a search continues that has found all since then. */
export function cursorBefore(at: string): string {
  return cursorOf([at, 0, '', 0]);
}

/** The text of a place. */
export function cursorOf(cursor: DeliveryCursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

/** From 1970 on: PostgreSQL has no year 0. */
const CURSOR_TIME = /^(?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT[\d:.]+Z$/;

/** @returns undefined if it is not a cursor. */
export function readCursor(text: string): DeliveryCursor | undefined {
  try {
    const read: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (!Array.isArray(read) || read.length !== 4) return undefined;
    const [at = '', sequence = '', deliveryId = '', attempt = ''] = read.map(String);
    return CURSOR_TIME.test(at) && /^[0-9]{1,16}$/.test(sequence) && /^[0-9]{1,9}$/.test(attempt)
      ? [inMilliseconds(at), Number(sequence), deliveryId, Number(attempt)]
      : undefined;
  } catch {
    return undefined;
  }
}
