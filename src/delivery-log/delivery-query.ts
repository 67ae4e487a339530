import type { DeliveryFilter, DeliveryRow } from '../contract/delivery.ts';
import { COLUMNS } from './postgres-schema.ts';

/** A statement and its values. */
export interface DeliveryQuery {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The place of a row in the order of pages: after it, the next page begins. */
export type DeliveryCursor = readonly [at: string, deliveryId: string, attempt: number];

const UTC_TIME = `to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at`;
const SELECTED = COLUMNS.map((column) => (column === 'at' ? UTC_TIME : column)).join(', ');
/** Greater than any character of a delivery id. */
const AFTER_ALL = '~';

/** The statement for a page of deliveries, newest first. */
export function deliveryQuery(filter: DeliveryFilter, limit: number, after?: DeliveryCursor): DeliveryQuery {
  const values: unknown[] = [];
  const value = (one: unknown): string => `$${values.push(one)}`;
  const { deliveryId, verdict, slowerThanMs, since, until } = filter;
  const conditions = [
    ...equal('job_id', filter.jobId),
    ...equal('person', filter.user),
    ...equal('audience', filter.audience),
    ...equal('event', filter.event),
    ...equal('status', filter.status),
    ...equal('code', filter.code),
    ...(deliveryId === undefined
      ? []
      : [`delivery_id >= ${value(deliveryId)} AND delivery_id < ${value(deliveryId + AFTER_ALL)}`]),
    ...(verdict === 'failed' ? ["verdict <> 'delivered'"] : equal('verdict', verdict)),
    ...(slowerThanMs === undefined ? [] : [`duration_ms > ${value(slowerThanMs)}`]),
    ...(since === undefined ? [] : [`at >= ${value(since)}`]),
    ...(until === undefined ? [] : [`at < ${value(until)}`]),
    ...(after === undefined ? [] : [`(at, delivery_id, attempt) < (${after.map(value).join(', ')})`]),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  const order = 'deliveries.at DESC, delivery_id DESC, attempt DESC';
  return { text: `SELECT ${SELECTED} FROM deliveries${where} ORDER BY ${order} LIMIT ${value(limit)}`, values };

  function equal(column: string, wanted: unknown): string[] {
    return wanted === undefined ? [] : [`${column} = ${value(wanted)}`];
  }
}

/** A row as the statement gives it: texts and nulls. */
export function deliveryRowOf(found: Readonly<Record<string, string | null>>): DeliveryRow {
  const { status, code, answer } = found;
  const text = (column: string): string => found[column] ?? '';
  return {
    at: text('at'),
    jobId: text('job_id'),
    deliveryId: text('delivery_id'),
    user: text('person'),
    audience: text('audience'),
    // Workers wrote these three.
    event: text('event') as DeliveryRow['event'],
    triggerAt: text('trigger_at'),
    attempt: Number(found['attempt']),
    verdict: text('verdict') as DeliveryRow['verdict'],
    ...(status == null ? {} : { status: Number(status) }),
    ...(code == null ? {} : { code }),
    durationMs: Number(found['duration_ms']),
    requestBytes: Number(found['request_bytes']),
    ...(answer == null ? {} : { answer }),
    worker: text('worker'),
    lane: text('lane') as DeliveryRow['lane'],
  };
}

export function cursorOf({ at, deliveryId, attempt }: DeliveryRow): DeliveryCursor {
  return [at, deliveryId, attempt];
}
