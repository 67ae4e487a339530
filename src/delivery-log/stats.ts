import type { DeliveryCounts, DeliveryStats, StatsQuery } from '../contract/delivery.ts';
import { NO_FAILURES } from '../domain/verdict.ts';
import { conditionsOf, newValues } from './delivery-query.ts';
import type { RollupTable, SqlQuery, SqlRow } from './log-sql.ts';
import { DAYS, firstUnsummed, HOURS, MINUTES, percentileMs } from './rollup.ts';

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
export const SUMMED_UNTIL: SqlQuery = {
  text: `SELECT max(began) + ${DAYS.seconds} AS summed FROM ${DAYS.table}`,
  values: [],
};

/** The statement that counts attempts by step or by job, outcome and duration. @param summed the answer of `SUMMED_UNTIL`, for a window by days. */
export function statsQuery(
  { jobId, onlyJobs }: StatsQuery,
  window: StatsWindow,
  by: 'step' | 'job',
  now: number,
  summed: number,
): SqlQuery {
  const { from, to, step } = window;
  // Minutes are not kept for as long as hours.
  const isInHours = step % HOURS.seconds === 0 || from < now / 1000 - MINUTES.keptDays * DAY_SECONDS;
  const group = by === 'job' ? 'job_id' : `began / ${step} * ${step}`;
  const { values, value } = newValues();
  const conditions = conditionsOf({ jobId, onlyJobs }, value);
  const rowsOf = (table: RollupTable, since: number, until: number): string =>
    `SELECT job_id, began, verdict, outcome, bucket, count FROM ${table}
WHERE ${[...conditions, `began >= ${value(since)}`, `began < ${value(until)}`].join(' AND ')}`;
  // Only the hours say enough of the last days, and of one that is not wanted whole.
  const lastDay = Math.min(summed, firstUnsummed(now), Math.floor(to / DAY_SECONDS) * DAY_SECONDS);
  const rows =
    isByDays(window) && from < lastDay
      ? `${rowsOf(DAYS.table, from, lastDay)} UNION ALL ${rowsOf(HOURS.table, lastDay, to)}`
      : rowsOf((isInHours ? HOURS : MINUTES).table, from, to);
  return {
    text: `SELECT ${group} AS part, verdict, outcome, bucket, sum(count) AS count FROM (${rows}) AS counts
GROUP BY 1, verdict, outcome, bucket`,
    values,
  };
}

interface Tally {
  delivered: number;
  readonly failedBy: Map<string, number>;
  readonly buckets: Map<number, number>;
}

/** Makes the answer of the rows by step and by job. */
export function statsOf(
  { since, until }: StatsQuery,
  { step }: StatsWindow,
  byStep: readonly SqlRow[],
  byJob: readonly SqlRow[],
): Omit<DeliveryStats, 'gaps'> {
  const points = [...tallied(byStep)]
    .map(([part, tally]) => ({ at: new Date(Number(part) * 1000).toISOString(), ...countsOf([tally]) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1));
  const parts = [...tallied(byJob)];
  const jobs = parts.map(([jobId, tally]) => ({ jobId, ...countsOf([tally]) }));
  jobs.sort((a, b) => b.failed - a.failed || b.delivered - a.delivered);
  return { since, until, stepSeconds: step, total: countsOf(parts.map(([, tally]) => tally)), points, jobs };
}

function tallied(rows: readonly SqlRow[]): Map<string, Tally> {
  const tallies = new Map<string, Tally>();
  for (const { part, verdict, outcome, bucket, count } of rows) {
    if (NO_FAILURES.includes(String(verdict))) continue;
    const key = String(part);
    const tally = tallies.get(key) ?? { delivered: 0, failedBy: new Map<string, number>(), buckets: new Map() };
    tallies.set(key, tally);
    const many = Number(count);
    if (verdict === 'delivered') tally.delivered += many;
    else add(tally.failedBy, String(outcome), many);
    add(tally.buckets, Number(bucket), many);
  }
  return tallies;
}

function add<Key>(counts: Map<Key, number>, key: Key, many: number): void {
  counts.set(key, (counts.get(key) ?? 0) + many);
}

function countsOf(tallies: readonly Tally[]): DeliveryCounts {
  const failedBy = new Map<string, number>();
  const buckets = new Map<number, number>();
  for (const tally of tallies) {
    for (const [outcome, many] of tally.failedBy) add(failedBy, outcome, many);
    for (const [bucket, many] of tally.buckets) add(buckets, bucket, many);
  }
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((share) => percentileMs(buckets, share));
  return {
    delivered: tallies.reduce((sum, { delivered }) => sum + delivered, 0),
    failed: [...failedBy.values()].reduce((sum, many) => sum + many, 0),
    failedBy: Object.fromEntries([...failedBy].sort(([, a], [, b]) => b - a)),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p95Ms === undefined ? {} : { p95Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  };
}
