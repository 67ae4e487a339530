import type { ToldRow } from './told-log.ts';
import type { ToldQuery } from '../../contract/replay.ts';
import { conditionsOf } from './delivery-query.ts';
import { type Dialect, inMilliseconds, listed, raw, type Sql, sql, type SqlRow, where } from './log-sql.ts';
import { deliveryRowOf } from './tables.ts';

/** Enter and exit. */
const EVENT_KINDS = 2;
// Rows of a replay repeat what other rows say, and are no news.
const TOLD = sql`verdict = 'delivered' AND lane <> 'replay'`;

/** The statement for what a job told, in the order in which it did. Needs one look at the person's rows for each. */
export function toldQuery(dialect: Dialect, query: ToldQuery, limit: number, after?: string): Sql {
  const { jobId, only, events, since, until = new Date().toISOString(), user, deliveryId, onlyLast } = query;
  const place = after === undefined ? undefined : readPlace(after);
  // The order of telling. Rows of a moment that have no sequence are in the order of their triggers' times.
  const [told, newer] = (['told', 'newer'] as const).map((table) => {
    const columns = ['at', 'sequence', 'delivery_id', 'attempt'].map((column) => raw(`${table}.${column}`));
    return listed(columns.toSpliced(2, 0, ...dialect.instantOf(`${table}.trigger_at`)));
  }) as [Sql, Sql];
  const ofPerson = sql`newer.person = told.person`;
  const isLater = sql`(${newer}) > (${told})`;
  // The clock of another worker may be a little behind: the sequence decides, where both have one.
  const isAfter = sql`newer.at >= ${dialect.minuteBefore('told.at')} AND CASE
    WHEN newer.sequence > 0 AND told.sequence > 0 THEN newer.sequence > told.sequence ELSE ${isLater} END`;
  // One delivery alone, or only the last: everything newer counts. Otherwise what is itself sent again does not.
  const unsaid =
    onlyLast === true || deliveryId !== undefined
      ? [sql`${ofPerson} AND ${isAfter}`]
      : [
          sql`${ofPerson} AND newer.at >= ${inMilliseconds(until)}`,
          sql`newer.delivery_id = told.delivery_id AND ${isAfter}`,
          // It would come before this one, although it was told after it.
          sql`${ofPerson} AND newer.at <= told.at AND ${isAfter} AND NOT ${isLater}`,
          ...(events.length === EVENT_KINDS
            ? []
            : [sql`${ofPerson} AND newer.event NOT IN (${listed(events)}) AND ${isAfter}`]),
        ];
  // Apart, each has an index that leads to it. Joined by OR, they would read all that a person was told until then, once for each row.
  const isOutdated = unsaid.map(
    (which) => sql`EXISTS (SELECT 1 FROM deliveries AS newer
      WHERE newer.job_id = told.job_id AND newer.audience = told.audience AND ${TOLD} AND ${which})`,
  );
  const [seconds, fraction] = dialect.instantOf('told.trigger_at');
  const wanted = where([
    // A database finds the place by its first part.
    ...conditionsOf({ jobId, since: place === undefined ? since : String(place[0]), until, user, deliveryId }),
    TOLD,
    only && sql`audience IN (${listed(only)})`,
    place && sql`(${told}) > (${listed(place)})`,
  ]);
  return sql`SELECT ${dialect.timeText('told.at')} AS told_at, trigger_at, delivery_id, attempt, person, audience, event,
    sequence, ${seconds} AS seconds, ${fraction} AS fraction,
    CASE WHEN ${listed(isOutdated, ' OR ')} THEN 1 ELSE 0 END AS outdated
    FROM deliveries AS told ${wanted} ORDER BY ${told} LIMIT ${limit}`;
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
