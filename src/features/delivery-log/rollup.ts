import type { DeliveryRow } from './delivery.ts';
import { keepFrom } from './log-gaps.ts';
import { type Dialect, raw, type Sql, sql } from './log-sql.ts';
import { insertRows, ROLLUP, ROLLUP_KEY } from './tables.ts';

/**
 * A count of attempts, in the order of the columns. They began in the same period, and have the same outcome (the status or the code) and about the
 * same duration (see `bucketOf`). `began`: epoch seconds.
 */
type Rollup = [jobId: string, began: number, verdict: string, outcome: string, bucket: number, count: number];

const DAY_SECONDS = 86_400;

/** How long the periods of a table last, and how long they are kept. */
export interface RollupPeriod {
  readonly table: string;
  readonly seconds: number;
  readonly keptDays: number;
}

export const MINUTES: RollupPeriod = { table: 'delivery_minutes', seconds: 60, keptDays: 8 };
export const HOURS: RollupPeriod = { table: 'delivery_hours', seconds: 3_600, keptDays: 400 };
/** Summed up from hours when a day begins, so that a batch need not count them, too. */
export const DAYS: RollupPeriod = { table: 'delivery_days', seconds: DAY_SECONDS, keptDays: 400 };
/** Rows may come late by so much, and are still counted in their day. */
const LATE_DAYS = 8;

/** The statements that count rows. They are in order, so that two writers never wait for each other's. */
export function countRows(dialect: Dialect, rows: readonly DeliveryRow[]): Sql[] {
  if (rows.length === 0) return [];
  const minutes = summed(MINUTES, rows.map(rollupOf));
  const tables = [
    [MINUTES.table, minutes],
    [HOURS.table, summed(HOURS, minutes)],
  ] as const;
  return tables.map(
    ([table, rollups]) =>
      sql`${insertRows(dialect, table, ROLLUP, rollups)}
        ON CONFLICT (${raw(ROLLUP_KEY)}) DO UPDATE SET count = known.count + excluded.count`,
  );
}

/** The statements that remove expired counts, deeds and names of writers, sum up days, and note since when rows are kept. @param now epoch ms. */
export function tidyCounts(now: number, keptFrom: string): Sql[] {
  const counts = [MINUTES, HOURS, DAYS].map(
    ({ table, keptDays }) =>
      sql`DELETE FROM ${raw(table)} WHERE began < ${Math.floor(now / 1000) - keptDays * DAY_SECONDS}`,
  );
  const first = new Date(now - HOURS.keptDays * DAY_SECONDS * 1000).toISOString();
  const expired = [
    sql`DELETE FROM deeds WHERE at < ${first}`,
    sql`DELETE FROM delivery_writers WHERE written_at < ${first}`,
  ];
  return [...counts, ...expired, sumDays(now), keepFrom(keptFrom, new Date(now).toISOString())];
}

/** Days before this one are read from their sums. Epoch seconds. @param now epoch ms. */
export function firstUnsummed(now: number): number {
  return beginOf(now / 1000, DAYS) - DAY_SECONDS;
}

/** Whether days that are read from their sums have further rows now. @param now epoch ms. */
export function hasLate(rows: readonly DeliveryRow[], now: number): boolean {
  const first = new Date(firstUnsummed(now) * 1000).toISOString();
  return rows.some(({ at }) => at < first);
}

/** Sums up the days before this one. In order: two workers may do so at once. */
function sumDays(now: number): Sql {
  const [days, hours] = [raw(DAYS.table), raw(HOURS.table)];
  const began = raw(`began / ${DAY_SECONDS} * ${DAY_SECONDS}`);
  return sql`INSERT INTO ${days} AS known (job_id, began, verdict, outcome, bucket, count)
    SELECT job_id, ${began}, verdict, outcome, bucket, sum(count) FROM ${hours}
    WHERE began >= (SELECT coalesce(max(began), 0) FROM ${days}) - ${raw(`${LATE_DAYS * DAY_SECONDS}`)}
      AND began < ${beginOf(now / 1000, DAYS)}
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (${raw(ROLLUP_KEY)}) DO UPDATE SET count = excluded.count`;
}

/** No request was made. */
const UNMADE = -1;
/** Each bucket ends 19 % above the one before. */
const BUCKETS_PER_DOUBLING = 4;

/** The bucket of a duration; -1: no request was made. */
function bucketOf(durationMs: number): number {
  return durationMs <= 0 ? UNMADE : Math.max(0, Math.round(BUCKETS_PER_DOUBLING * Math.log2(durationMs)));
}

/** The middle of a bucket, in ms. */
function middleOf(bucket: number): number {
  return 2 ** (bucket / BUCKETS_PER_DOUBLING);
}

function rollupOf({ at, jobId, verdict, status, code = '', durationMs }: DeliveryRow): Rollup {
  return [jobId, Date.parse(at) / 1000, verdict, String(status ?? code), bucketOf(durationMs), 1];
}

/** Adds up what falls into the same period. This is done with each delivery. */
function summed(period: RollupPeriod, counted: readonly Rollup[]): Rollup[] {
  const sums = new Map<string, Rollup>();
  for (const [jobId, at, verdict, outcome, bucket, count] of counted) {
    const began = beginOf(at, period);
    const key = `${jobId} ${began} ${verdict} ${outcome} ${bucket}`;
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, [jobId, began, verdict, outcome, bucket, count]);
    else sum[5] += count;
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sum]) => sum);
}

function beginOf(seconds: number, period: RollupPeriod): number {
  return Math.floor(seconds / period.seconds) * period.seconds;
}

/** The duration, in ms and to within 10 %, that this share of the requests did not exceed; undefined: there were none. */
export function percentileMs(buckets: ReadonlyMap<number, number>, share: number): number | undefined {
  const made = [...buckets].filter(([bucket]) => bucket !== UNMADE).sort(([a], [b]) => a - b);
  const total = made.reduce((sum, [, count]) => sum + count, 0);
  let left = total * share;
  for (const [bucket, count] of made) {
    left -= count;
    if (left <= 0) return Math.round(middleOf(bucket));
  }
  return undefined;
}
