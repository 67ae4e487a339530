const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** 12,345 */
export function count(n: number): string {
  return whole.format(n);
}

/** `1 trigger`, `2 triggers` */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** A duration in the one unit that says enough: `8 s`, `3 min`, `2 h`, `5 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** A year: longer than anything here is kept or waits. */
const LONGEST_MS = 365 * 86_400_000;

/** A duration as people type it, in ms: `90s`, `30m`, `2h`, `7d`, `1h30m`; undefined for anything else, and for more than a year. */
export function readDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:ms|[smhd]))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)(ms|[smhd])/g)];
  const ms = parts.reduce((sum, [, digits, unit = '']) => sum + Number(digits) * (UNITS_MS[unit] ?? 0), 0);
  return ms <= LONGEST_MS ? ms : undefined;
}

/** An RFC 3339 time seen from `nowMs`: `8 s ago`, `in 3 min`. */
export function fromNow(time: string, nowMs: number): string {
  const ms = Date.parse(time) - nowMs;
  return ms > 0 ? `in ${duration(ms)}` : `${duration(-ms)} ago`;
}
