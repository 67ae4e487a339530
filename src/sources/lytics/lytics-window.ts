/** Minutes of the units of Lytics' date math. A month counts as 30 days: all that matters is whether a window is under 30 minutes. */
const UNIT_MINUTES: Readonly<Record<string, number>> = {
  s: 1 / 60,
  m: 1,
  h: 60,
  d: 24 * 60,
  w: 7 * 24 * 60,
  M: 30 * 24 * 60,
  y: 365 * 24 * 60,
};
/** `now-15m`, and `now+2h` for the future: both change membership as time passes. */
const DATE_MATH = /\bnow\s*[-+]\s*(\d{1,9})\s*([smhdwMy])(?![a-zA-Z])/g;
/** `timewindow(visits, 5, 7)`: 5 in 7 days. */
const TIME_WINDOW = /\btimewindow\s*\([^()]*,\s*(\d{1,9})\s*\)/gi;
const INCLUDED = /\bINCLUDE\s+(?:`([^`]+)`|([\w.-]+))/gi;

/**
 * The shortest time window, in minutes, that a definition in FilterQL looks back over, or forward; undefined when it has none that can be
 * seen. What it includes counts, as far as it is known.
 *
 * @param definition of the segment that has this slug; empty when it is not known.
 */
export function shortestWindow(ql: string, definition: (slug: string) => string): number | undefined {
  const minutes: number[] = [];
  const texts = [ql];
  const seen = new Set<string>();
  for (const text of texts) {
    for (const [, count, unit = ''] of text.matchAll(DATE_MATH))
      minutes.push(Number(count) * (UNIT_MINUTES[unit] ?? NaN));
    for (const [, days] of text.matchAll(TIME_WINDOW)) minutes.push(Number(days) * 24 * 60);
    for (const [, quoted, plain] of text.matchAll(INCLUDED)) {
      const slug = quoted ?? plain ?? '';
      if (!seen.has(slug)) texts.push(definition(slug));
      seen.add(slug);
    }
  }
  // `now-0d` is not a window but the present day.
  const windows = minutes.filter((one) => one > 0);
  return windows.length === 0 ? undefined : windows.reduce((a, b) => Math.min(a, b));
}
