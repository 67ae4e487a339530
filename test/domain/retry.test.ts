import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  nextChance,
  pageAgainMs,
  parseRetryAfter,
  retryDelayMs,
  retryDelaysMs,
  spread,
  throttleMs,
} from '../../src/domain/retry.ts';
import { always, anyText } from '../support/properties.ts';

const NOW = Date.UTC(2026, 10, 25, 8, 0, 0);

test.each([
  ['0', 0],
  ['5', 5000],
  [' 120 ', 120_000],
  ['Wed, 25 Nov 2026 08:00:30 GMT', 30_000],
  ['Wednesday, 25-Nov-26 08:00:30 GMT', 30_000],
  ['Wed, 25 Nov 2026 07:00:00 GMT', 0],
  ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
  ['999999999999', 999_999_999_999_000],
  ['9999999999999999', Number.MAX_SAFE_INTEGER],
  ['9'.repeat(400), Number.MAX_SAFE_INTEGER],
  [`${'0'.repeat(20)}7`, 7000],
])('[S31] "%s" asks to wait %i ms', (value, ms) => {
  expect(parseRetryAfter(value, NOW)).toBe(ms);
});

test.each([
  '',
  '-5',
  '+5',
  '1.5',
  '1e3',
  '0x10',
  '5s',
  '5, 5',
  'soon',
  'NaN',
  'Infinity',
  '2026-11-25T08:00:30Z',
  'Wed, 99 Nov 2026 08:00:30 GMT',
  'Wed, 25 Foo 2026 08:00:30 GMT',
  'Wed, 25 Nov 2026 08:00:30 PST',
])('[S31] "%s" asks for nothing', (value) => {
  expect(parseRetryAfter(value, NOW)).toBeUndefined();
});

test('[S31] whatever an endpoint says, the answer is nothing or a time that is not negative', () => {
  always(
    fc.property(anyText(), (value) => {
      expect(parseRetryAfter(value, NOW) ?? 0).toBeGreaterThanOrEqual(0);
    }),
  );
});

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

test.each([
  ['1m', [5 * S, 30 * S, 25 * S]],
  ['2m', [5 * S, 30 * S, 85 * S]],
  ['10m', [5 * S, 30 * S, 2 * M, 10 * M - 155 * S]],
  ['1h', [5 * S, 30 * S, 2 * M, 10 * M, 30 * M, 1045 * S]],
  ['2h', [5 * S, 30 * S, 2 * M, 10 * M, 30 * M, 4645 * S]],
  ['1d', [5 * S, 30 * S, 2 * M, 10 * M, 30 * M, 2 * H, 5 * H, 10 * H, 22_645 * S]],
  ['28h', [5 * S, 30 * S, 2 * M, 10 * M, 30 * M, 2 * H, 5 * H, 10 * H, 10 * H + 1045 * S]],
])('a job that tries for %s waits as usual while that fits, and then for the rest', (retryFor, delays) => {
  expect(retryDelaysMs(retryFor)).toEqual(delays);
});

test('the waits of a job add up to its retry time, and none is much shorter or longer than usual', () => {
  always(
    fc.property(fc.integer({ min: 60, max: 7 * 86_400 }), (seconds) => {
      const delays = retryDelaysMs(`${seconds}s`);
      expect(delays.reduce((sum, ms) => sum + ms, 0)).toBe(seconds * S);
      expect(delays[0]).toBe(5 * S);
      for (const [index, ms] of delays.entries()) {
        const usual = retryDelaysMs(null)[index] ?? 10 * H;
        expect(ms).toBeLessThan(usual * 1.5);
        expect(ms).toBeGreaterThanOrEqual(index === 0 ? usual : (delays[index - 1] ?? 0) / 2);
      }
      expect(retryDelayMs(delays.length, 0.5, `${seconds}s`)).toBe(delays.at(-1));
      expect(retryDelayMs(delays.length + 1, 0.5, `${seconds}s`)).toBeUndefined();
    }),
  );
});

test('[S30] every wait is within a fifth of the schedule, either way', () => {
  always(
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

test('[S30] a thousand that failed together come back spread over two fifths of their wait, none of its tenths without some', () => {
  let seed = 1;
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 1000; i++) {
    const next = nextChance(seed);
    seed = next.seed;
    const share = ((retryDelayMs(2, next.chance) ?? 0) / (30 * S) - 0.8) / 0.4;
    const tenth = Math.min(Math.floor(share * 10), 9);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.min(...tenths)).toBeGreaterThan(50);
  expect(Math.max(...tenths)).toBeLessThan(200);
});

test('[S30] the spread reaches both ends', () => {
  expect(spread(1000, 0)).toBe(800);
  expect(spread(1000, 1 - Number.EPSILON)).toBe(1200);
});

test.each([
  ['as asked', 30 * S, 1, 30 * S],
  ['at least a second', 1, 1, S],
  ['at most an hour', 999_999_999_999_999_000, 1, H],
  ['as asked, however often it asked', 2 * S, 9, 2 * S],
  ['5 s when it did not say', undefined, 1, 5 * S],
  ['doubling', undefined, 3, 20 * S],
  ['at most an hour after many times', undefined, 500, H],
])('[S31] a throttled job waits %s', (_, asked, streak, ms) => {
  expect(throttleMs(asked, streak)).toBe(ms);
});

test('a page that nobody answers is sent again after a minute, then ever later, and once an hour at least', () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 1000].map(pageAgainMs)).toEqual([M, 2 * M, 4 * M, 8 * M, 16 * M, 32 * M, H, H, H]);
});
