import { isFresh } from '../queue/chain.ts';
import { calendarPeriodAt } from './calendar.ts';
import { max, NEVER, type EndedSlice, type SliceLimits, type Throttle, type Throttled } from './throttle.ts';

/** How much of a job's quota is used; plain JSON. */
interface CarriedQuota {
  /** When its period began; epoch ms. */
  readonly from: number;
  /** When its period ends; epoch ms. */
  readonly until?: number;
  /** Triggers that had, or may have had, their first attempt in it. */
  readonly used: number;
}

export interface WithQuota {
  quota?: CarriedQuota | undefined;
}

type State = Throttled & WithQuota;

/** At most so many people in a period of the calendar. */
export const quota: Throttle<WithQuota> = {
  firstsLeft: quotaLeft,
  firstsFrom: barsUntil,
  heldUntil: (state, now) => calendarPeriodAt(state.job, now)?.[quotaLeft(state, now) > 0 ? 0 : 1] ?? 0,
  // A status says how much was used when the job last woke.
  wakesAt: (state, now) => (quotaUsed(state, now) > 0 ? calendarPeriodAt(state.job, now)?.[1] : undefined) ?? NEVER,
  take: spend,
  settled: refund,
  edited: takeOver,
  wait: { why: 'quota', holds: 'firsts', until: barsUntil },
};

/** How many triggers may have their first attempt in the period of now; `Infinity` without a quota. */
export function quotaLeft(state: State, now: number): number {
  const { quota: limit } = state.job.definition;
  if (limit === null) return NEVER;
  return max(0, limit.people - quotaUsed(state, now));
}

/** How many triggers have had their first attempt in the period of now, or may have. */
export function quotaUsed(state: State, now: number): number {
  const [from] = calendarPeriodAt(state.job, now) ?? [];
  return state.quota?.from === from ? (state.quota?.used ?? 0) : 0;
}

/** How many of `left` first attempts remain for members of a backfill: it gets what the ready live triggers leave. */
export function leftForMembers({ chains }: Pick<State, 'chains'>, left: number): number {
  if (left === NEVER) return left;
  // The oldest trigger of each retry counts no more.
  const { retryCount } = chains.live;
  return max(0, left - (chains.liveTriggers(left + retryCount) - retryCount));
}

function barsUntil(state: State, now: number): number {
  return quotaLeft(state, now) > 0 ? 0 : (calendarPeriodAt(state.job, now)?.[1] ?? 0);
}

const PERIOD_MS = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;

/** When the period begins in which the last of this many members can be sent if no live triggers come, epoch ms; undefined: it is the present one. */
export function quotaReachesAt(state: State, members: number, now: number): number | undefined {
  const { quota: limit } = state.job.definition;
  const over = members - leftForMembers(state, quotaLeft(state, now));
  const begins = state.job.calendar?.periods?.filter((from) => from > now) ?? [];
  const furthest = begins.at(-1);
  if (limit === null || over <= 0 || furthest === undefined) return undefined;
  const periods = Math.ceil(over / limit.people);
  // Beyond the calendar, each period has its usual length, except when the clocks change.
  return begins[periods - 1] ?? furthest + (periods - begins.length) * PERIOD_MS[limit.per];
}

/** Counts first attempts that are about to be made. */
function spend(state: State, firsts: number, now: number): SliceLimits | undefined {
  const [from, until] = calendarPeriodAt(state.job, now) ?? [];
  if (state.job.definition.quota === null || from === undefined || until === undefined) return undefined;
  state.quota = { from, until, used: quotaUsed(state, now) + firsts };
  return { quotaFrom: from };
}

/**
 * An edit may have changed the periods. The used part of a period that overlaps the present one counts for the present one, since it is not
 * known when it was used. While there is no quota, nothing changes: it may be set again.
 */
function takeOver(state: State, now: number): void {
  const { quota: before } = state;
  const [from, until] = calendarPeriodAt(state.job, now) ?? [];
  if (before === undefined || from === undefined || until === undefined) return;
  const overlaps = before.from < until && (before.until ?? before.from + 1) > from;
  state.quota = overlaps ? { from, until, used: before.used } : undefined;
}

/** Gives back what a slice took for triggers for which certainly no request was made. A period that is over gets nothing back. */
function refund(state: State, { slice, wasRequested }: EndedSlice): void {
  const { quota: before } = state;
  const { quotaFrom } = slice.limits;
  if (quotaFrom === undefined || before?.from !== quotaFrom) return;
  let unasked = 0;
  let index = 0;
  for (const { chain, count } of slice.parts) {
    for (let place = 0; place < count; place++, index++) if (isFresh(chain, place) && !wasRequested(index)) unasked++;
  }
  state.quota = { ...before, used: Math.max(0, before.used - unasked) };
}
