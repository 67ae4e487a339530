import { type Calendar, type CalendarSettings, DAYS, type QuietHours, type Quota } from '../contract/timing.ts';

const DAY_MS = 86_400_000;
/** How far ahead a calendar reaches, in ms. */
const AHEAD_MS = 8 * DAY_MS;
/** The same with a quota for each hour, which has many periods. */
const HOURS_AHEAD_MS = 2 * DAY_MS;
/** Quiet times that ended longer ago are left out: they only affect since when triggers could have been sent. */
const BEHIND_MS = DAY_MS;

/**
 * The times of a job by its calendar. They are computed here, not in workflows: time zone data differs between machines, and changes. The result is
 * therefore computed once, and recorded.
 *
 * @returns undefined when the job does not depend on its calendar.
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

/** When periods begin, from the current one at `from` to the first that begins after `until`. */
function periods({ per, timeZone }: Quota, fromMs: number, untilMs: number): number[] {
  const zone = new TimeZone(timeZone);
  const begins = per === 'hour' ? hours(zone, fromMs, untilMs) : days(zone, per, fromMs, untilMs);
  const [present] = begins.filter((ms) => ms <= fromMs).slice(-1);
  const first = begins.findIndex((ms) => ms > untilMs);
  return begins.slice(0, first + 1).filter((ms) => present === undefined || ms >= present);
}

const QUARTER_MS = 15 * 60_000;

/** Every zone's offset is a multiple of a quarter of an hour. */
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

/** The quiet times that have not ended at `from` and begin before `until`, in order; adjacent ones are joined. */
function quietTimes({ from, to, timeZone, days }: QuietHours, fromMs: number, untilMs: number): Calendar['quiet'] {
  const zone = new TimeZone(timeZone);
  const [begins, ends] = [minuteOf(from), minuteOf(to)];
  const times: (readonly [from: number, to: number])[] = [];
  // One that began the day before yesterday may touch yesterday's.
  for (let day = zone.dayAt(fromMs) - 2 * DAY_MS; day <= untilMs + DAY_MS; day += DAY_MS) {
    const name = DAYS[(new Date(day).getUTCDay() + 6) % 7];
    if (days !== undefined && !days.some((one) => one === name)) continue;
    const time = [zone.firstAt(day, begins), zone.lastAt(ends > begins ? day : day + DAY_MS, ends)] as const;
    const before = times.at(-1);
    if (before !== undefined && before[1] >= time[0]) times.splice(-1, 1, [before[0], Math.max(before[1], time[1])]);
    // A change of the clocks can make it empty.
    else if (time[1] > time[0]) times.push(time);
  }
  return times.filter(([begin, end]) => end > fromMs && begin < untilMs);
}

/** `HH:MM` */
function minuteOf(time: string): MinuteOfDay {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

/** A day of the calendar, as midnight UTC of that date, in ms. This allows counting in days. */
type Day = number;

/** A time of day, in minutes from midnight. */
type MinuteOfDay = number;

const MINUTE_MS = 60_000;

/**
 * Converts between instants and local times in a time zone. A local time that is skipped when clocks go forward counts as the instant of the change.
 * When clocks go back, a time comes twice.
 */
class TimeZone {
  readonly #format: Intl.DateTimeFormat;

  /** @throws RangeError for a name that this runtime does not know. */
  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** The local day at an instant. */
  dayAt(ms: number): Day {
    return Math.floor(this.#wallAt(ms) / DAY_MS) * DAY_MS;
  }

  /** The local minute of the hour at an instant. */
  minuteAt(ms: number): number {
    return Math.floor(this.#wallAt(ms) / MINUTE_MS) % 60;
  }

  /** When clocks show this time for the first time on that day, or would without a change; epoch ms. */
  firstAt(day: Day, minute: MinuteOfDay): number {
    return Math.min(...this.#instantsOf(day + minute * MINUTE_MS));
  }

  /** When they show it for the last time. */
  lastAt(day: Day, minute: MinuteOfDay): number {
    return Math.max(...this.#instantsOf(day + minute * MINUTE_MS));
  }

  /** The local time at an instant, written as if it were UTC. */
  #wallAt(ms: number): number {
    const part = Object.fromEntries(this.#format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  }

  /**
   * The instants at which clocks show this time. There is one, or two when clocks go back; if they skip the time, it is the instant of the change.
   */
  #instantsOf(wall: number): number[] {
    // No zone changes twice within two days: these are its offsets before and after.
    const offsets = [wall - DAY_MS, wall + DAY_MS].map((ms) => this.#wallAt(ms) - ms);
    const candidates = [...new Set(offsets.map((offset) => wall - offset))];
    const shown = candidates.filter((ms) => this.#wallAt(ms) === wall);
    return shown.length > 0 ? shown : [this.#changeBetween(Math.min(...candidates), Math.max(...candidates), wall)];
  }

  /** The first second from which on clocks show at least this time. */
  #changeBetween(before: number, after: number, wall: number): number {
    let [low, high] = [Math.floor(before / 1000), Math.ceil(after / 1000)];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#wallAt(middle * 1000) >= wall) high = middle;
      else low = middle + 1;
    }
    return low * 1000;
  }
}
