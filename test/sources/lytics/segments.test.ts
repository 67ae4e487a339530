import { expect, test } from '@jest/globals';
import { shortestWindow } from '../../../src/sources/lytics/segments.ts';

const none = (): string => '';

test.each<[ql: string, minutes: number | undefined]>([
  ['FILTER last_visit > "now-15m"', 15],
  ["FILTER last_visit > 'now-24h'", 24 * 60],
  ['FILTER AND (a > "now-3M", b > "now-4w", c > "now-1y")', 4 * 7 * 24 * 60],
  ['FILTER last_visit BETWEEN "now-30d" AND "now-2d"', 2 * 24 * 60],
  ['FILTER event_date < "now+90s"', 1.5],
  ['FILTER timewindow(visits, 5, 7)', 7 * 24 * 60],
  ['FILTER a > "now-1d/d"', 24 * 60],
  ['FILTER a > "now-0d"', undefined],
  ['FILTER created > "2016-04-02T12:00:00Z"', undefined],
  ['FILTER AND (url CONTAINS "know-15m-more", city = "now-5minutes")', undefined],
  ['', undefined],
])('%s looks over %s minutes', (ql, minutes) => {
  expect(shortestWindow(ql, none)).toBe(minutes);
});

test('what is included counts, however deep, and once when it includes itself', () => {
  const definitions: Record<string, string> = {
    a: 'FILTER AND (INCLUDE `b`, NOT INCLUDE a)',
    b: 'FILTER AND (INCLUDE a, x > "now-20m")',
  };
  const definition = (slug: string): string => definitions[slug] ?? '';
  expect(shortestWindow('FILTER AND (include a, y > "now-2h", INCLUDE unknown)', definition)).toBe(20);
});
