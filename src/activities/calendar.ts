import { type Calendar, type CalendarSettings, DAYS, type QuietHours, type Quota } from '../contract/timing.ts';
import { DAY_MS, type MinuteOfDay, TimeZone } from './time-zone.ts';

/** How far ahead a calendar reaches, in ms. */
const AHEAD_MS = 8 * DAY_MS;
/** The same with a quota for each hour: there are many. */
const HOURS_AHEAD_MS = 2 * DAY_MS;
/** What was over longer ago is left out: only since when triggers could have been sent depends on it. */
const BEHIND_MS = DAY_MS;

/**
 * The times of a job by its calendar. Here, and not in workflows: what machines know of time zones differs, and changes, so it is computed once
 * and recorded.
 *
 * @returns undefined when nothing of the job depends on its calendar.
 */
export function calendarOf({ quietHours, quota }: CalendarSettings, now: number): Calendar | undefined {
  if (quietHours === null && quota === null) return undefined;
  const untilMs = now + (quota?.per === 'hour' ? HOURS_AHEAD_MS : AHEAD_MS);
  return {
    quiet: quietHours === null ? [] : quietTimes(quietHours, now - BEHIND_MS, untilMs),
    ...(quota === null ? {} : { periods: periods(quota, now, untilMs) }),
    untilMs,
  };
}

/** When periods begin, from the one of `from` to the first that begins after `until`. */
function periods({ per, timeZone }: Quota, fromMs: number, untilMs: number): number[] {
  const zone = new TimeZone(timeZone);
  const begins = per === 'hour' ? hours(zone, fromMs, untilMs) : days(zone, per, fromMs, untilMs);
  const [present] = begins.filter((ms) => ms <= fromMs).slice(-1);
  const first = begins.findIndex((ms) => ms > untilMs);
  return begins.slice(0, first + 1).filter((ms) => present === undefined || ms >= present);
}

const QUARTER_MS = 15 * 60_000;

/** No zone is off by less than a quarter of an hour. */
function hours(zone: TimeZone, fromMs: number, untilMs: number): number[] {
  const begins: number[] = [];
  for (
    let ms = Math.floor(fromMs / QUARTER_MS) * QUARTER_MS - 4 * QUARTER_MS;
    ms <= untilMs + 4 * QUARTER_MS;
    ms += QUARTER_MS
  )
    if (zone.minuteAt(ms) === 0) begins.push(ms);
  return begins;
}

function days(zone: TimeZone, per: 'day' | 'week', fromMs: number, untilMs: number): number[] {
  const begins: number[] = [];
  for (let day = zone.dayAt(fromMs) - 7 * DAY_MS; day <= untilMs + 8 * DAY_MS; day += DAY_MS)
    if (per === 'day' || new Date(day).getUTCDay() === 1) begins.push(zone.firstAt(day, 0));
  return begins;
}

/** The quiet times that are not over at `from` and begin before `until`, in order; those that touch are one. */
function quietTimes({ from, to, timeZone, days }: QuietHours, fromMs: number, untilMs: number): Calendar['quiet'] {
  const zone = new TimeZone(timeZone);
  const [begins, ends] = [minuteOf(from), minuteOf(to)];
  const times: (readonly [from: number, to: number])[] = [];
  // One that began the day before yesterday may have met yesterday's.
  for (let day = zone.dayAt(fromMs) - 2 * DAY_MS; day <= untilMs + DAY_MS; day += DAY_MS) {
    const name = DAYS[(new Date(day).getUTCDay() + 6) % 7];
    if (days !== undefined && !days.some((one) => one === name)) continue;
    const time = [zone.firstAt(day, begins), zone.lastAt(ends > begins ? day : day + DAY_MS, ends)] as const;
    const before = times.at(-1);
    if (before !== undefined && before[1] >= time[0]) times.splice(-1, 1, [before[0], Math.max(before[1], time[1])]);
    // A change of the clocks can leave nothing of it.
    else if (time[1] > time[0]) times.push(time);
  }
  return times.filter(([begin, end]) => end > fromMs && begin < untilMs);
}

/** `HH:MM` */
function minuteOf(time: string): MinuteOfDay {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}
