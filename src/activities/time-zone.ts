/** A day of the calendar, as midnight UTC of that date, in ms: days can then be counted on. */
export type Day = number;

export const DAY_MS = 86_400_000;

/** A time of day, in minutes from midnight. */
export type MinuteOfDay = number;

const MINUTE_MS = 60_000;

/**
 * What clocks on the wall show in a time zone, and when they show it. Where they are put forward, a time that they skip is that of the change;
 * where they are put back, a time comes twice.
 */
export class TimeZone {
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

  /** The day that it is there at an instant. */
  dayAt(ms: number): Day {
    return Math.floor(this.#wallAt(ms) / DAY_MS) * DAY_MS;
  }

  /** What the minute hand shows there at an instant. */
  minuteAt(ms: number): number {
    return Math.floor(this.#wallAt(ms) / MINUTE_MS) % 60;
  }

  /** When clocks show this time for the first time on that day, or would but for a change; epoch ms. */
  firstAt(day: Day, minute: MinuteOfDay): number {
    return Math.min(...this.#instantsOf(day + minute * MINUTE_MS));
  }

  /** When they show it for the last time. */
  lastAt(day: Day, minute: MinuteOfDay): number {
    return Math.max(...this.#instantsOf(day + minute * MINUTE_MS));
  }

  /** What clocks show at an instant, as if it were UTC. */
  #wallAt(ms: number): number {
    const part = Object.fromEntries(this.#format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  }

  /** The instants at which clocks show this: one, two where they are put back; the time of the change where they skip it. */
  #instantsOf(wall: number): number[] {
    // No zone is changed twice within two days, so these are what it is off by before and after.
    const offsets = [wall - DAY_MS, wall + DAY_MS].map((ms) => this.#wallAt(ms) - ms);
    const candidates = [...new Set(offsets.map((offset) => wall - offset))];
    const shown = candidates.filter((ms) => this.#wallAt(ms) === wall);
    return shown.length > 0 ? shown : [this.#changeBetween(Math.min(...candidates), Math.max(...candidates), wall)];
  }

  /** The first second from which on clocks show no less than this. */
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
