import type { Slice } from '../job.ts';
import { isFresh } from '../queue/chain.ts';
import type { Throttled } from './throttled.ts';
import { calendarPeriodAt } from './calendar.ts';

/** How many triggers may have their first attempt in the period of now; `Infinity` without a quota. */
export function quotaLeft(state: Throttled, now: number): number {
  const { quota } = state.job.definition;
  if (quota === null) return Infinity;
  return Math.max(0, quota.people - quotaUsed(state, now));
}

/** How many triggers have had their first attempt in the period of now, or may have. */
export function quotaUsed(state: Throttled, now: number): number {
  const [from] = calendarPeriodAt(state.job, now) ?? [];
  return state.quota?.from === from ? (state.quota?.used ?? 0) : 0;
}

/** How many new members of a backfill may have their first attempt now: a backfill gets the quota that the ready live triggers leave. */
export function quotaLeftForMembers(state: Throttled, now: number): number {
  const left = quotaLeft(state, now);
  if (left === Infinity) return left;
  // The oldest trigger of each retry counts no more.
  const { retryCount } = state.chains.live;
  return Math.max(0, left - (state.chains.liveTriggers(left + retryCount) - retryCount));
}

/** When first attempts may be made again, epoch ms; undefined while they may be now. */
export function quotaBarsUntil(state: Throttled, now: number): number | undefined {
  return quotaLeft(state, now) > 0 ? undefined : calendarPeriodAt(state.job, now)?.[1];
}

const PERIOD_MS = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;

/** When the period begins in which the last of this many members can be sent if no live triggers come, epoch ms; undefined: it is the present one. */
export function quotaReachesAt(state: Throttled, members: number, now: number): number | undefined {
  const { quota } = state.job.definition;
  const over = members - quotaLeftForMembers(state, now);
  const begins = state.job.calendar?.periods?.filter((from) => from > now) ?? [];
  const furthest = begins.at(-1);
  if (quota === null || over <= 0 || furthest === undefined) return undefined;
  const periods = Math.ceil(over / quota.people);
  // Beyond the calendar, each period has its usual length, except when the clocks change.
  return begins[periods - 1] ?? furthest + (periods - begins.length) * PERIOD_MS[quota.per];
}

/** When the used part of the quota becomes free again, epoch ms; undefined: nothing is used. */
export function quotaFreshAt(state: Throttled, now: number): number | undefined {
  return quotaUsed(state, now) > 0 ? calendarPeriodAt(state.job, now)?.[1] : undefined;
}

/** Counts first attempts that are about to be made. Returns the period that they count for; undefined without a quota. */
export function spendQuota(state: Throttled, firsts: number, now: number): number | undefined {
  const [from, until] = calendarPeriodAt(state.job, now) ?? [];
  if (state.job.definition.quota === null || from === undefined || until === undefined) return undefined;
  state.quota = { from, until, used: quotaUsed(state, now) + firsts };
  return from;
}

/**
 * Carries the quota over an edit, which may have changed its periods. The used part of a period that overlaps the present one counts for
 * the present one, since it is not known when it was used. While there is no quota, nothing changes: it may be set again.
 */
export function takeOverQuota(state: Throttled, now: number): void {
  const { quota } = state;
  const [from, until] = calendarPeriodAt(state.job, now) ?? [];
  if (quota === undefined || from === undefined || until === undefined) return;
  const overlaps = quota.from < until && (quota.until ?? quota.from + 1) > from;
  state.quota = overlaps ? { from, until, used: quota.used } : undefined;
}

/**
 * Gives back the quota that an ended slice took for triggers for which certainly no request was made. A period that is over gets nothing
 * back.
 *
 * @param wasRequested whether a request may have been made for the trigger at a place in the slice.
 */
export function refundQuota(state: Throttled, slice: Slice, wasRequested: (index: number) => boolean): void {
  const { quota } = state;
  if (slice.quotaFrom === undefined || quota?.from !== slice.quotaFrom) return;
  let unasked = 0;
  let index = 0;
  for (const { chain, count } of slice.parts) {
    for (let place = 0; place < count; place++, index++) if (isFresh(chain, place) && !wasRequested(index)) unasked++;
  }
  state.quota = { ...quota, used: Math.max(0, quota.used - unasked) };
}
