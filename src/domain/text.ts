import { parseInstant } from './instant.ts';

// Control characters, and marks that change the direction of the text that follows.
const UNSAFE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/** Text from outside, made safe to show: what could control a terminal, or disguise the text, is escaped. */
export function printable(text: string): string {
  return text.replaceAll(UNSAFE, (mark) => `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}

/** The same for a reason of ours, which may have several lines, where there is room for one paragraph. */
export function printableReason(reason: string): string {
  const lines = reason.split('\n').map((line) => line.trim());
  return printable(lines.filter((line) => line !== '').join(' '));
}

/** A whole number for people: 12,345 */
export function shownCount(n: number): string {
  return String(n).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 trigger`, `2 triggers`; `1 person`, `2 people` where the plural is told. */
export function counted(n: number, noun: string, plural = `${noun}s`): string {
  return `${shownCount(n)} ${n === 1 ? noun : plural}`;
}

/** A duration in the one unit that says enough: `8 s`, `3 min`, `2 h`, `5 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** An RFC 3339 time in UTC for people, to the second; any other text as it is. */
export function shownTime(at: string): string {
  const instant = parseInstant(at);
  return instant === undefined ? at : `${instant.slice(0, 19).replace('T', ' ')} UTC`;
}

/** The same to its last digit: a nanosecond can decide which of two triggers is newer. */
export function exactTime(at: string): string {
  const instant = parseInstant(at);
  return instant === undefined
    ? at
    : `${instant
        .slice(0, 29)
        .replace('T', ' ')
        .replace(/\.?0+$/, '')} UTC`;
}
