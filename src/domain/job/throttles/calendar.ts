import type { Calendar, CalendarSettings } from '../../../contract/timing.ts';
import { min, NEVER, type Throttle, type Throttled, type ThrottledJob } from './throttle.ts';

/** No slice is dispatched within this time, in ms, before one in which nothing may start: a slice takes a moment to reach its worker. */
const LEAST_MS = 1000;

/** A calendar is read again this long before it ends, in ms. */
const AGAIN_BEFORE_MS = 12 * 60 * 60_000;

/** Quiet hours, and the times around them and around the quota's periods at which nothing may be on its way. */
export const calendar: Throttle = {
  barredUntil: calendarBarsUntil,
  heldUntil: ({ job }, now) => lastQuietEnd(job, now),
  // A status says what held when the job last woke, so it wakes whenever a quiet time begins or ends.
  wakesAt: (state, now) => {
    const edge = state.job.calendar?.quiet.flat().find((at) => at > now) ?? NEVER;
    const reading = state.underWay.has('read-calendar') ? undefined : readAt(state);
    return min(edge, reading ?? NEVER);
  },
  take: ({ job }, _, now) =>
    job.calendar === undefined ? undefined : { notAfterMs: startsUntil(job, job.calendar, now) },
  wait: { why: 'quiet', holds: 'all', until: ({ job }, now) => quietTimeAt(job, now)?.[1] },
};

/** The settings that a calendar is made from; undefined when nothing of the job depends on one. */
function calendarSettings({ job }: Throttled): CalendarSettings | undefined {
  const { quietHours, quota } = job.definition;
  return quietHours === null && quota === null ? undefined : { quietHours, quota };
}

/** When the calendar is to be read, epoch ms; undefined when the job needs none. */
function readAt(state: Throttled): number | undefined {
  if (calendarSettings(state) === undefined) return undefined;
  const { calendar } = state.job;
  return calendar === undefined ? 0 : calendar.untilMs - AGAIN_BEFORE_MS;
}

/** The settings to read the calendar for now; undefined: it need not be read. One at a time. */
export function calendarToRead(state: Throttled, now: number): CalendarSettings | undefined {
  const at = readAt(state);
  return at === undefined || at > now || state.underWay.has('read-calendar') ? undefined : calendarSettings(state);
}

/** The quiet time that holds at this moment; undefined: none does. */
export function quietTimeAt({ calendar }: Pick<ThrottledJob, 'calendar'>, now: number) {
  return calendar?.quiet.find(([from, to]) => from <= now && now < to);
}

/** When a message of this time may be sent: at the end of the quiet time around it, or at once; epoch ms. */
export function afterQuiet(job: Pick<ThrottledJob, 'calendar'>, at: number): number {
  return quietTimeAt(job, at)?.[1] ?? at;
}

/** When the last quiet time ended, or the present one will; epoch ms, 0 when there was none lately. */
export function lastQuietEnd({ calendar }: Pick<ThrottledJob, 'calendar'>, now: number): number {
  return calendar?.quiet.findLast(([from]) => from <= now)?.[1] ?? 0;
}

/**
 * No slice is dispatched before this time because of the calendar; epoch ms, in the past when one may be dispatched now. `Infinity` while the
 * calendar is not known.
 */
export function calendarBarsUntil(state: Throttled, now: number): number {
  if (calendarSettings(state) === undefined) return 0;
  const { calendar } = state.job;
  if (calendar === undefined || calendar.untilMs <= now + LEAST_MS) return Infinity;
  const [, to = 0] = quietTimeAt(state.job, now) ?? quietTimeAt(state.job, now + LEAST_MS) ?? [];
  const [, ends = Infinity] = calendarPeriodAt(state.job, now) ?? [];
  return ends <= now + LEAST_MS ? Math.max(to, ends) : to;
}

/** The period of the quota around this time; undefined without a quota. */
export function calendarPeriodAt(
  { calendar }: Pick<ThrottledJob, 'calendar'>,
  now: number,
): readonly [from: number, to: number] | undefined {
  if (calendar?.periods === undefined) return undefined;
  const { periods, untilMs } = calendar;
  const next = periods.findIndex((from) => from > now);
  const from = periods[next - 1];
  return from === undefined ? undefined : [from, periods[next] ?? untilMs];
}

/** Until when a slice that is dispatched now may start requests, epoch ms. */
function startsUntil(job: ThrottledJob, { quiet, untilMs }: Calendar, now: number): number {
  const quietFrom = quiet.find(([from]) => from > now)?.[0] ?? untilMs;
  // A request that starts in the next period would count for that one.
  return min(quietFrom, calendarPeriodAt(job, now)?.[1] ?? NEVER);
}

/** Whether the job drops triggers that come now, because of quiet hours. */
export function isDroppedNow({ job }: Throttled, now: number): boolean {
  return job.definition.quietHours?.meanwhile === 'drop' && quietTimeAt(job, now) !== undefined;
}
