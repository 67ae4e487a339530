/**
 * Instants with nanoseconds, as UTC texts of one length (`2026-11-25T01:29:58.123456789Z`), so that comparing the texts
 * compares the times. Two spellings of one instant have one such text.
 */
export type Instant = string;

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Ours; the leap second 60 is not. */
const CANONICAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{9}(?:Z|\+00:00)$/;

/** UTC with nine digits, like ours and most that come; without the days that do not exist in every month or year. */
const PLAIN =
  /^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{9}(?:Z|\+00:00)$/;

/** Like `parseInstant`, for a text that was accepted before: one in a spelling of ours is not parsed again. */
export function knownInstant(text: string): Instant | undefined {
  return CANONICAL.test(text) ? `${text.slice(0, 29)}Z` : parseInstant(text);
}

/** The epoch time in ms of a text that was accepted before; 0 for what is no time, which is never accepted. */
export function epochMsOf(text: string): number {
  return Date.parse(knownInstant(text) ?? '') || 0;
}

/** The instant that an RFC 3339 text with up to nanoseconds names; undefined for anything else. */
export function parseInstant(text: string): Instant | undefined {
  // Each trigger that arrives is read, and this takes a thirtieth of the time that the rest does.
  if (PLAIN.test(text) && text >= '0100') return `${text.slice(0, 29)}Z`;
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = match;
  // RFC 3339 allows the leap second 60; POSIX time has none, so it is the next second.
  if (Number(year) < 100) return undefined; // Date.UTC would read it as 19xx.
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
  const utc = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  const midnight = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (midnight.getUTCMonth() !== Number(month) - 1) return undefined; // There is no such day in that month.
  const offsetMs = (Number(offsetHour) * 60 + Number(offsetMinute)) * 60_000 * (sign === '-' ? -1 : 1);
  const seconds = utc - offsetMs;
  if (seconds < FIRST || seconds > LAST) return undefined;
  return `${new Date(seconds).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}

const FIRST = Date.UTC(100, 0, 1);
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59);

/** The instant of an epoch time in ms. */
export function instantOf(epochMs: number): Instant {
  return `${new Date(epochMs).toISOString().slice(0, 23)}000000Z`;
}

/** The instant one nanosecond later. */
export function nextNanosecond(instant: Instant): Instant {
  return instantAfter(instant, 1);
}

/** The instant this many nanoseconds later. */
export function instantAfter(instant: Instant, nanoseconds: number): Instant {
  const nanos = Number(instant.slice(20, 29)) + nanoseconds;
  if (nanos < SECOND_NS) return `${instant.slice(0, 20)}${String(nanos).padStart(9, '0')}Z`;
  const later = Date.parse(`${instant.slice(0, 19)}Z`) + 1000 * Math.floor(nanos / SECOND_NS);
  return `${new Date(later).toISOString().slice(0, 19)}.${String(nanos % SECOND_NS).padStart(9, '0')}Z`;
}

const SECOND_NS = 1_000_000_000;

/** An instant as it is sent: RFC 3339 with nine digits and a numeric offset, like the examples on Lytics' page. */
export function withOffset(instant: Instant): string {
  return `${instant.slice(0, 29)}+00:00`;
}
