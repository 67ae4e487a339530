import type { ToldQuery, ToldRow } from '../contract/replay.ts';
import { conditionsOf, deliveryRowOf, inMilliseconds, newValues } from './delivery-query.ts';
import type { SqlQuery, SqlRow, TimeText } from './log-sql.ts';

const COLUMNS = ['trigger_at', 'delivery_id', 'attempt', 'person', 'audience', 'event'];
/** Enter and exit. */
const EVENT_KINDS = 2;
// Rows of a replay repeat what other rows say, and are no news.
const TOLD = "verdict = 'delivered' AND lane <> 'replay'";

/** The statement for what a job told, in the order in which it did. Needs one look at the person's rows for each. */
export function toldQuery(sql: TimeText, query: ToldQuery, limit: number, after?: string): SqlQuery {
  const { values, value } = newValues();
  const { jobId, only, events, since, until = new Date().toISOString(), user, deliveryId, onlyLast } = query;
  const list = (all: readonly string[]): string => all.map(value).join(', ');
  const place = after === undefined ? undefined : readPlace(after);
  // A database finds the place by its first part.
  const from = place === undefined ? since : String(place[0]);
  const where = [
    ...conditionsOf({ jobId, since: from, until, user, deliveryId }, value),
    TOLD,
    ...(only === undefined ? [] : [`audience IN (${list(only)})`]),
    ...(place === undefined ? [] : [`(${order('told')}) > (${place.map(value).join(', ')})`]),
  ];
  const ofPerson = 'newer.person = told.person';
  // The clock of another worker may be a little behind: the sequence decides, where both have one.
  const isNear = `newer.at >= ${sql.minuteBefore('told.at')}`;
  const hasSequence = 'newer.sequence > 0 AND told.sequence > 0';
  const isLater = `(${order('newer')}) > (${order('told')})`;
  const isAfter = `${isNear} AND CASE WHEN ${hasSequence} THEN newer.sequence > told.sequence ELSE ${isLater} END`;
  // One delivery alone, or only the last: everything newer counts. Otherwise what is itself sent again does not.
  const unsaid =
    onlyLast === true || deliveryId !== undefined
      ? [`${ofPerson} AND ${isAfter}`]
      : [
          `${ofPerson} AND newer.at >= ${value(inMilliseconds(until))}`,
          `newer.delivery_id = told.delivery_id AND ${isAfter}`,
          // It would come before this one, although it was told after it.
          `${ofPerson} AND newer.at <= told.at AND ${isAfter} AND NOT ${isLater}`,
          ...(events.length === EVENT_KINDS
            ? []
            : [`${ofPerson} AND newer.event NOT IN (${list(events)}) AND ${isAfter}`]),
        ];
  // Apart, each has an index that leads to it. Joined by OR, they would read all that a person was told until then, once for each row.
  const exists = (which: string): string => `EXISTS (SELECT 1 FROM deliveries AS newer
    WHERE newer.job_id = told.job_id AND newer.audience = told.audience AND ${TOLD} AND ${which})`;
  const [seconds, fraction] = sql.instantOf('told.trigger_at');
  const places = ['sequence', `${seconds} AS seconds`, `${fraction} AS fraction`];
  const columns = [`${sql.timeText('told.at')} AS told_at`, ...COLUMNS, ...places].join(', ');
  return {
    text: `SELECT ${columns}, CASE WHEN ${unsaid.map(exists).join(' OR ')} THEN 1 ELSE 0 END AS outdated
  FROM deliveries AS told WHERE ${where.join(' AND ')}
  ORDER BY ${order('told')} LIMIT ${value(limit)}`,
    values,
  };

  /** The order of telling. Rows of a moment that have no sequence are in the order of their triggers' times. */
  function order(table: 'told' | 'newer'): string {
    const columns = ['at', 'sequence', 'delivery_id', 'attempt'].map((column) => `${table}.${column}`);
    return columns.toSpliced(2, 0, ...sql.instantOf(`${table}.trigger_at`)).join(', ');
  }
}

export function toldRowOf(found: SqlRow): ToldRow {
  const at = String(found['told_at']);
  const { deliveryId, user, audience, event, triggerAt, attempt } = deliveryRowOf({ ...found, at });
  const isOutdated = Number(found['outdated']) === 1;
  const { sequence, seconds, fraction } = found;
  const next = JSON.stringify([at, Number(sequence), Number(seconds), Number(fraction), deliveryId, attempt]);
  return { at, deliveryId, user, audience, event, triggerAt, isOutdated, next };
}

/** @param place a `next` of ours. */
function readPlace(place: string): (string | number)[] {
  return JSON.parse(place) as (string | number)[];
}
