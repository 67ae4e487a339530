import { type Calendar, type CalendarSettings, DAYS, type QuietHours } from '../contract/timing.ts';
import { DAY_MS, type MinuteOfDay, TimeZone } from './time-zone.ts';

/** How far ahead a calendar reaches, in ms. */
const AHEAD_MS = 8 * DAY_MS;
/** What was over longer ago is left out: only since when triggers could have been sent depends on it. */
const BEHIND_MS = DAY_MS;

/**
 * The times of a job by its calendar. Here, and not in workflows: what machines know of time zones differs, and changes, so it is computed once
 * and recorded.
 *
 * @returns undefined when nothing of the job depends on its calendar.
 */
export function calendarOf({ quietHours }: CalendarSettings, now: number): Calendar | undefined {
  if (quietHours === null) return undefined;
  return { quiet: quietTimes(quietHours, now - BEHIND_MS, now + AHEAD_MS), untilMs: now + AHEAD_MS };
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
