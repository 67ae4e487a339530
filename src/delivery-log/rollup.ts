import type { DeliveryRow } from '../contract/delivery.ts';
import { type RollupTable, type SqlQuery, WRITER } from './log-sql.ts';

/** Attempts that began in the same minute or hour, with the same outcome and about the same duration. */
export interface Rollup {
  /** When the minute or hour began, epoch seconds. */
  readonly began: number;
  readonly jobId: string;
  readonly verdict: DeliveryRow['verdict'];
  /** The status or the code. */
  readonly outcome: string;
  /** See `bucketOf`. */
  readonly bucket: number;
  count: number;
}

const DAY_SECONDS = 86_400;

/** How long the periods of a table last, and how long they are kept. */
interface RollupPeriod {
  readonly table: RollupTable;
  readonly seconds: number;
  readonly keptDays: number;
}

export const MINUTES: RollupPeriod = { table: 'delivery_minutes', seconds: 60, keptDays: 8 };
export const HOURS: RollupPeriod = { table: 'delivery_hours', seconds: 3_600, keptDays: 400 };
/** Summed up from hours when a day begins, so that a batch need not count them, too. */
export const DAYS: RollupPeriod = { table: 'delivery_days', seconds: DAY_SECONDS, keptDays: 400 };
/** Rows may come late by so much, and are still counted in their day. */
const LATE_DAYS = 8;

/** Counts rows for each table. They are in order, so that two writers never wait for each other's. */
export function rollupsOf(rows: readonly DeliveryRow[]): (readonly [RollupTable, Rollup[]])[] {
  const minutes = inOrder(byMinute(rows));
  return [
    [MINUTES.table, minutes],
    [HOURS.table, inOrder(byHour(minutes))],
  ];
}

/** The statements that remove expired counts, deeds and names of writers, sum up days, and note since when rows are kept. @param now epoch ms. */
export function tidyCounts(now: number, keptFrom: string): SqlQuery[] {
  const counts = [MINUTES, HOURS, DAYS].map(({ table, keptDays }) => ({
    text: `DELETE FROM ${table} WHERE began < $1`,
    values: [Math.floor(now / 1000) - keptDays * DAY_SECONDS],
  }));
  const first = new Date(now - HOURS.keptDays * DAY_SECONDS * 1000).toISOString();
  const others = ['deeds WHERE at', 'delivery_writers WHERE written_at'];
  const expired = others.map((of) => ({ text: `DELETE FROM ${of} < $1`, values: [first] }));
  const kept = { text: WRITER.keepFrom, values: [keptFrom, new Date(now).toISOString()] };
  return [...counts, ...expired, sumDays(now), kept];
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
function sumDays(now: number): SqlQuery {
  const text = `
INSERT INTO ${DAYS.table} AS known (job_id, began, verdict, outcome, bucket, count)
SELECT job_id, began / ${DAY_SECONDS} * ${DAY_SECONDS}, verdict, outcome, bucket, sum(count) FROM ${HOURS.table}
WHERE began >= (SELECT coalesce(max(began), 0) FROM ${DAYS.table}) - ${LATE_DAYS * DAY_SECONDS} AND began < $1
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (job_id, began, verdict, outcome, bucket) DO UPDATE SET count = excluded.count`;
  return { text, values: [beginOf(now / 1000, DAYS)] };
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

/** By what they have in common. This is done with each delivery. */
function byMinute(rows: readonly DeliveryRow[]): Map<string, Rollup> {
  const rollups = new Map<string, Rollup>();
  for (const { at, jobId, verdict, status, code = '', durationMs } of rows) {
    const bucket = bucketOf(durationMs);
    const key = `${jobId} ${at.slice(0, MINUTE_LENGTH)} ${verdict} ${status ?? code} ${bucket}`;
    const known = rollups.get(key);
    if (known === undefined)
      rollups.set(key, {
        began: beginOf(Date.parse(at) / 1000, MINUTES),
        jobId,
        verdict,
        outcome: String(status ?? code),
        bucket,
        count: 1,
      });
    else known.count++;
  }
  return rollups;
}

/** The date and the minute of an RFC 3339 time in UTC. */
const MINUTE_LENGTH = '2026-11-30T12:00'.length;

function byHour(minutes: readonly Rollup[]): Map<string, Rollup> {
  const rollups = new Map<string, Rollup>();
  for (const minute of minutes) {
    const { jobId, verdict, outcome, bucket, count } = minute;
    const began = beginOf(minute.began, HOURS);
    const key = `${jobId} ${began} ${verdict} ${outcome} ${bucket}`;
    const known = rollups.get(key);
    if (known === undefined) rollups.set(key, { ...minute, began });
    else known.count += count;
  }
  return rollups;
}

function beginOf(seconds: number, period: RollupPeriod): number {
  return Math.floor(seconds / period.seconds) * period.seconds;
}

function inOrder(rollups: ReadonlyMap<string, Rollup>): Rollup[] {
  return [...rollups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rollup]) => rollup);
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
