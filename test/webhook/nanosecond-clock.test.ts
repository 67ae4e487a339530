import { expect, test } from '@jest/globals';
import { parseInstant } from '../../src/domain/instant.ts';
import { createNanosecondClock } from '../../src/webhook/nanosecond-clock.ts';

test('it tells the wall-clock time, with nine digits and an offset', () => {
  const now = createNanosecondClock();
  for (let i = 0; i < 1000; i++) {
    const before = Date.now();
    const text = now();
    expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00$/);
    expect(Date.parse(text)).toBeGreaterThanOrEqual(before - 3);
    expect(Date.parse(text)).toBeLessThanOrEqual(Date.now() + 3);
  }
});

test('two consecutive times differ by less than a millisecond', () => {
  const now = createNanosecondClock();
  const times = Array.from({ length: 100 }, () => parseInstant(now()) ?? '');
  expect(new Set(times).size).toBeGreaterThan(50);
  expect(times.some((time) => !time.endsWith('000000Z'))).toBe(true);
});
