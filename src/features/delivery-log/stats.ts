import type { DeliveryCounts, DeliveryStats, StatsQuery } from './delivery.ts';
import { definedOf } from '../../domain/json.ts';
import { NO_FAILURES } from './searched-verdicts.ts';
import { conditionsOf } from './delivery-query.ts';
import { raw, type Sql, sql, type SqlRow, where } from './log-sql.ts';
import { DAYS, firstUnsummed, HOURS, MINUTES, percentileMs, type RollupPeriod } from './rollup.ts';

const DAY_SECONDS = 86_400;
/** A month is then read by days. */
const MOST_POINTS = 100;
/** The steps to choose from, in seconds. */
const STEPS = [60, 300, 900, 3_600, 6 * 3_600, DAY_SECONDS, 7 * DAY_SECONDS];

/** The time that was asked for, in whole steps. Epoch seconds. */
export interface StatsWindow {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export function windowOf({ since, until, stepSeconds }: StatsQuery): StatsWindow {
  const to = Math.ceil(Date.parse(until) / 1000);
  const span = to - Date.parse(since) / 1000;
  const step = stepSeconds ?? STEPS.find((one) => span / one <= MOST_POINTS) ?? 7 * DAY_SECONDS;
  return { from: Math.floor(Date.parse(since) / 1000 / step) * step, to, step };
}

/** Whether its counts are those of whole days, which may be read from their sums. */
export function isByDays({ step }: StatsWindow): boolean {
  return step % DAYS.seconds === 0;
}

/** The statement that says until when days are summed up, in epoch seconds. A log that only 0.1.0 has written has no such sums. */
export const SUMMED_UNTIL = raw(`SELECT max(began) + ${DAYS.seconds} AS summed FROM ${DAYS.table}`);

/** The statement that counts attempts by step or by job, outcome and duration. @param summed the answer of `SUMMED_UNTIL`, for a window by days. */
export function statsQuery(
  { jobId, onlyJobs }: StatsQuery,
  window: StatsWindow,
  by: 'step' | 'job',
  now: number,
  summed: number,
): Sql {
  const { from, to, step } = window;
  // Minutes are not kept for as long as hours.
  const isInHours = step % HOURS.seconds === 0 || from < now / 1000 - MINUTES.keptDays * DAY_SECONDS;
  const rowsOf = ({ table }: RollupPeriod, since: number, until: number): Sql =>
    sql`SELECT job_id, began, verdict, outcome, bucket, count FROM ${raw(table)}
      ${where([...conditionsOf({ jobId, onlyJobs }), sql`began >= ${since}`, sql`began < ${until}`])}`;
  // Only the hours say enough of the last days, and of one that is not wanted whole.
  const lastDay = Math.min(summed, firstUnsummed(now), Math.floor(to / DAY_SECONDS) * DAY_SECONDS);
  const rows =
    isByDays(window) && from < lastDay
      ? sql`${rowsOf(DAYS, from, lastDay)} UNION ALL ${rowsOf(HOURS, lastDay, to)}`
      : rowsOf(isInHours ? HOURS : MINUTES, from, to);
  return sql`SELECT ${raw(by === 'job' ? 'job_id' : `began / ${step} * ${step}`)} AS part,
    verdict, outcome, bucket, sum(count) AS count FROM (${rows}) AS counts GROUP BY 1, verdict, outcome, bucket`;
}

/** Makes the answer of the rows by step and by job. */
export function statsOf(
  { since, until }: StatsQuery,
  { step }: StatsWindow,
  byStep: readonly SqlRow[],
  byJob: readonly SqlRow[],
): Omit<DeliveryStats, 'gaps'> {
  const points = [...partsOf(byStep)]
    .map(([part, rows]) => ({ at: new Date(Number(part) * 1000).toISOString(), ...countsOf(rows) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1));
  const jobs = [...partsOf(byJob)].map(([jobId, rows]) => ({ jobId, ...countsOf(rows) }));
  jobs.sort((a, b) => b.failed - a.failed || b.delivered - a.delivered);
  return { since, until, stepSeconds: step, total: countsOf(byJob.filter(isCounted)), points, jobs };
}

function partsOf(rows: readonly SqlRow[]): Map<string, SqlRow[]> {
  const parts = new Map<string, SqlRow[]>();
  for (const row of rows.filter(isCounted)) {
    const part = String(row['part']);
    const known = parts.get(part);
    if (known === undefined) parts.set(part, [row]);
    else known.push(row);
  }
  return parts;
}

function isCounted({ verdict }: SqlRow): boolean {
  return !NO_FAILURES.includes(String(verdict));
}

function countsOf(rows: readonly SqlRow[]): DeliveryCounts {
  let delivered = 0;
  const failedBy = new Map<string, number>();
  const buckets = new Map<number, number>();
  for (const { verdict, outcome, bucket, count } of rows) {
    if (verdict === 'delivered') delivered += Number(count);
    else add(failedBy, String(outcome), Number(count));
    add(buckets, Number(bucket), Number(count));
  }
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((share) => percentileMs(buckets, share));
  return {
    delivered,
    failed: [...failedBy.values()].reduce((sum, many) => sum + many, 0),
    failedBy: Object.fromEntries([...failedBy].sort(([, a], [, b]) => b - a)),
    ...definedOf({ p50Ms, p95Ms, p99Ms }),
  };
}

function add<Key>(counts: Map<Key, number>, key: Key, many: number): void {
  counts.set(key, (counts.get(key) ?? 0) + many);
}
