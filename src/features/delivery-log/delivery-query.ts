import type { DeliveryFilter } from './delivery.ts';
import { NO_FAILURES } from './searched-verdicts.ts';
import { type Dialect, inMilliseconds, listed, raw, type Sql, sql, where } from './log-sql.ts';
import { DELIVERIES, selected } from './tables.ts';

/** The place of a row in the order of pages: after it, the next page begins. */
type DeliveryCursor = readonly [at: string, sequence: number, deliveryId: string, attempt: number];

const COLUMNS = Object.keys(DELIVERIES);
const PAGE_COLUMNS = COLUMNS.filter((column) => column !== 'exchange');
/** Greater than any character of a delivery id. */
const AFTER_ALL = '~';
const MOST_ATTEMPTS = 50;

/** The statement for a page of deliveries, newest first. */
export function deliveryQuery(dialect: Dialect, filter: DeliveryFilter, limit: number, after?: DeliveryCursor): Sql {
  const isAfter = after && sql`(at, sequence, delivery_id, attempt) < (${listed(after)})`;
  return sql`SELECT ${selected(dialect, PAGE_COLUMNS)} FROM deliveries ${where([...conditionsOf(filter), isAfter])}
    ORDER BY deliveries.at DESC, sequence DESC, delivery_id DESC, attempt DESC LIMIT ${limit}`;
}

/** The statement for what was sent and answered in the request for this batch, newest first: each attempt of it has one such row. */
export function batchQuery(dialect: Dialect, batchId: string): Sql {
  return sql`SELECT ${selected(dialect, COLUMNS)} FROM deliveries WHERE batch_id = ${batchId} AND exchange IS NOT NULL
    ORDER BY deliveries.at LIMIT ${MOST_ATTEMPTS}`;
}

/** The statement for all attempts with this `webhook-id`, or one that begins so, oldest first, with what was sent and answered. */
export function attemptsQuery(dialect: Dialect, which: Pick<DeliveryFilter, 'deliveryId' | 'onlyJobs'>): Sql {
  return sql`SELECT ${selected(dialect, COLUMNS)} FROM deliveries ${where(conditionsOf(which))}
    ORDER BY deliveries.at, sequence, delivery_id, attempt LIMIT ${MOST_ATTEMPTS}`;
}

/** The statement for the time of the oldest delivery. */
export function oldestQuery(dialect: Dialect): Sql {
  return sql`SELECT ${dialect.timeText('min(at)')} AS at FROM deliveries`;
}

export function conditionsOf(filter: DeliveryFilter): (Sql | undefined)[] {
  const { onlyJobs, deliveryId: id, verdict, slowerThanMs, since, until } = filter;
  const begins = (column: string, id: string): Sql =>
    sql`${raw(column)} >= ${id} AND ${raw(column)} < ${id + AFTER_ALL}`;
  return [
    equal('job_id', filter.jobId),
    onlyJobs && sql`job_id IN (${listed(onlyJobs)})`,
    equal('person', filter.user),
    equal('audience', filter.audience),
    equal('event', filter.event),
    equal('status', filter.status),
    equal('code', filter.code),
    // The index of rows that were not delivered needs to be told so; those with a code were not.
    filter.code === undefined && verdict !== 'failed' ? undefined : sql`verdict <> 'delivered'`,
    id === undefined ? undefined : sql`(${begins('delivery_id', id)} OR ${begins('batch_id', id)})`,
    verdict === 'failed' ? sql`verdict NOT IN (${listed(NO_FAILURES)})` : equal('verdict', verdict),
    slowerThanMs === undefined ? undefined : sql`duration_ms > ${slowerThanMs}`,
    since === undefined ? undefined : sql`at >= ${inMilliseconds(since)}`,
    until === undefined ? undefined : sql`at < ${inMilliseconds(until)}`,
  ];
}

export function equal(column: string, value: string | number | undefined): Sql | undefined {
  return value === undefined ? undefined : sql`${raw(column)} = ${value}`;
}

/** The text of a place. */
export function cursorOf(at: string, sequence = 0, id = '', attempt = 0): string {
  return Buffer.from(JSON.stringify([at, sequence, id, attempt])).toString('base64url');
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
