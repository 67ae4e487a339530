import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseRetryAfter } from '../../src/domain/retry-after.ts';

const NOW = Date.UTC(2026, 10, 25, 8, 0, 0);

test.each([
  ['0', 0],
  ['5', 5000],
  [' 120 ', 120_000],
  ['Wed, 25 Nov 2026 08:00:30 GMT', 30_000],
  ['Wednesday, 25-Nov-26 08:00:30 GMT', 30_000],
  ['Wed, 25 Nov 2026 07:00:00 GMT', 0],
  ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
  ['999999999999999', 999_999_999_999_999_000],
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
  '9'.repeat(400),
  '2026-11-25T08:00:30Z',
  'Wed, 99 Nov 2026 08:00:30 GMT',
  'Wed, 25 Foo 2026 08:00:30 GMT',
  'Wed, 25 Nov 2026 08:00:30 PST',
])('[S31] "%s" asks for nothing', (value) => {
  expect(parseRetryAfter(value, NOW)).toBeUndefined();
});

test('[S31] whatever an endpoint says, the answer is nothing or a time that is not negative', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      expect(parseRetryAfter(value, NOW) ?? 0).toBeGreaterThanOrEqual(0);
    }),
  );
});
