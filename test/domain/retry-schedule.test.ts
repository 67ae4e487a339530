import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { retryDelayMs, spread, throttleMs } from '../../src/domain/retry-schedule.ts';

const S = 1000;
const M = 60 * S;
const H = 60 * M;

test.each([
  [1, 5 * S],
  [2, 30 * S],
  [3, 2 * M],
  [4, 10 * M],
  [5, 30 * M],
  [6, 2 * H],
  [7, 5 * H],
  [8, 10 * H],
  [9, 10 * H],
  [10, undefined],
  [0, undefined],
])('after failure %i the wait is %s ms, give or take', (failures, ms) => {
  expect(retryDelayMs(failures, 0.5)).toBe(ms);
});

test('every wait is within a fifth of the schedule, either way', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (n, c) => {
        const ratio = (retryDelayMs(n, c) ?? 0) / (retryDelayMs(n, 0.5) ?? 0);
        expect(ratio).toBeGreaterThanOrEqual(0.8);
        expect(ratio).toBeLessThanOrEqual(1.2);
      },
    ),
  );
});

test('the spread reaches both ends', () => {
  expect(spread(1000, 0)).toBe(800);
  expect(spread(1000, 1 - Number.EPSILON)).toBe(1200);
});

test.each([
  ['as asked', 30 * S, 1, 30 * S],
  ['at least a second', 0, 1, S],
  ['at most an hour', 999_999_999_999_999_000, 1, H],
  ['as asked, however often it asked', 2 * S, 9, 2 * S],
  ['5 s when it did not say', undefined, 1, 5 * S],
  ['doubling', undefined, 3, 20 * S],
  ['at most an hour after many times', undefined, 500, H],
])('a throttled job waits %s', (_, asked, streak, ms) => {
  expect(throttleMs(asked, streak)).toBe(ms);
});
