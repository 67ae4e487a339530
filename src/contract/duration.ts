// Without zod: workflows and the console read these, too.

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A year, in ms: nothing here is kept, or waits, for longer. */
export const LONGEST_DURATION_MS = 365 * 86_400_000;

/** Each unit at most once, the largest first. */
const DURATION = /^(?=.)(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?$/;

/** A duration as people type it, in ms: `90s`, `30m`, `2h`, `7d`, `1h30m`; undefined for anything else, and for more than a year. */
export function readDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)(ms|[smhd])/g)];
  const ms = parts.reduce((sum, [, digits, unit = '']) => sum + Number(digits) * (UNITS_MS[unit] ?? 0), 0);
  return ms <= LONGEST_DURATION_MS ? ms : undefined;
}

/** The shortest and the longest interval of a watch, in ms: a second and a week. */
export const SHORTEST_WATCH_MS = 1_000;
export const LONGEST_WATCH_MS = 7 * 86_400_000;
