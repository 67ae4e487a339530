import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { instantOf, knownInstant, nextNanosecond, parseInstant, withOffset } from '../../src/domain/instant.ts';
import { always } from '../support/properties.ts';

const pad = (value: number, digits = 2) => String(value).padStart(digits, '0');
const epochMs = fc.integer({ min: Date.UTC(1000, 0, 1), max: Date.UTC(9000, 0, 1) });
const nanos = fc.integer({ min: 0, max: 999_999_999 });
const offsetMinutes = fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 });

/** One instant as people elsewhere spell it. */
function spell(ms: number, ns: number, offset: number): string {
  const seconds = ms - (((ms % 1000) + 1000) % 1000);
  const local = new Date(seconds + offset * 60_000).toISOString().slice(0, 19);
  const away = Math.abs(offset);
  return `${local}.${pad(ns, 9)}${offset < 0 ? '-' : '+'}${pad(Math.floor(away / 60))}:${pad(away % 60)}`;
}

test('two spellings of one instant are one text', () => {
  always(
    fc.property(epochMs, nanos, offsetMinutes, offsetMinutes, (ms, ns, one, other) => {
      expect(parseInstant(spell(ms, ns, one))).toBe(parseInstant(spell(ms, ns, other)));
      expect(parseInstant(spell(ms, ns, one))).toHaveLength(30);
    }),
  );
});

test('comparing the texts compares the times', () => {
  always(
    fc.property(epochMs, nanos, epochMs, nanos, offsetMinutes, (ms, ns, otherMs, otherNs, offset) => {
      const [one = '', other = ''] = [parseInstant(spell(ms, ns, offset)), parseInstant(spell(otherMs, otherNs, 0))];
      const seconds = Math.floor(ms / 1000) - Math.floor(otherMs / 1000);
      expect(Math.sign(seconds === 0 ? ns - otherNs : seconds)).toBe(one < other ? -1 : one > other ? 1 : 0);
    }),
  );
});

test('reading a canonical instant gives it back, however it goes out', () => {
  always(
    fc.property(epochMs, (ms) => {
      expect(parseInstant(instantOf(ms))).toBe(instantOf(ms));
      expect(parseInstant(withOffset(instantOf(ms)))).toBe(instantOf(ms));
      expect(Date.parse(instantOf(ms))).toBe(ms);
    }),
  );
});

test('the next nanosecond is later, and nothing fits between', () => {
  always(
    fc.property(epochMs, nanos, (ms, ns) => {
      const instant = parseInstant(spell(ms, ns, 0)) ?? '';
      const next = nextNanosecond(instant);
      expect(next > instant && parseInstant(next) === next).toBe(true);
      const gap = BigInt(Date.parse(`${next.slice(0, 19)}Z`) - Date.parse(`${instant.slice(0, 19)}Z`)) * 1_000_000n;
      expect(gap + BigInt(next.slice(20, 29)) - BigInt(instant.slice(20, 29))).toBe(1n);
    }),
  );
});

test('the next nanosecond carries over into the next year', () => {
  expect(nextNanosecond('2026-12-31T23:59:59.999999999Z')).toBe('2027-01-01T00:00:00.000000000Z');
});

test.each([
  ['2026-11-02T13:27:33.916374949-07:00', '2026-11-02T20:27:33.916374949Z'],
  ['2026-11-02t13:27:33z', '2026-11-02T13:27:33.000000000Z'],
  ['2026-11-02T13:27:33.5+00:00', '2026-11-02T13:27:33.500000000Z'],
  ['2026-12-31T23:59:60Z', '2027-01-01T00:00:00.000000000Z'],
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000000000Z'],
])('%s is %s', (text, instant) => {
  expect(parseInstant(text)).toBe(instant);
});

test.each([
  '',
  'now',
  '2026-11-02',
  '2026-11-02T13:27:33',
  '2026-11-02 13:27:33Z',
  '2026-02-29T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-00-01T00:00:00Z',
  '2026-11-00T00:00:00Z',
  '2026-11-02T24:00:00Z',
  '2026-11-02T13:60:00Z',
  '2026-11-02T13:27:61Z',
  '2026-11-02T13:27:33.Z',
  '2026-11-02T13:27:33.1234567890Z',
  '2026-11-02T13:27:33+24:00',
  '2026-11-02T13:27:33+07:60',
  '2026-11-02T13:27:33+0700',
  '0099-01-01T00:00:00Z',
  '9999-12-31T23:59:59-01:00',
  '2026-11-02T13:27:33Z\n',
  '1793539653000',
])('"%s" is no time', (text) => {
  expect(parseInstant(text)).toBeUndefined();
});

test('a text that was accepted before is read as when it was checked', () => {
  const spellings = fc.constantFrom('Z', '+00:00', 'z', '+02:00', '-00:30');
  const seconds = fc.constantFrom('00', '07', '59', '60');
  const fractions = fc.constantFrom('', '.5', '.123', '.120000000', '.000000001');
  always(
    fc.property(spellings, seconds, fractions, (offset, second, fraction) => {
      const text = `2026-11-25T23:59:${second}${fraction}${offset}`;
      expect(knownInstant(text)).toBe(parseInstant(text));
    }),
  );
});

test('the fast reader of instants agrees with the general one on a zero offset', () => {
  const digits = (most: number) => fc.integer({ min: 0, max: most }).map((one) => pad(one));
  always(
    fc.property(
      fc.integer({ min: 0, max: 9999 }).map((year) => pad(year, 4)),
      fc.tuple(digits(13), digits(32), digits(25), digits(61), digits(61)),
      nanos,
      (year, [month, day, hour, minute, second], ns) => {
        const local = `${year}-${month}-${day}T${hour}:${minute}:${second}.${pad(ns, 9)}`;
        const slowly = parseInstant(`${local}-00:00`);
        expect([parseInstant(`${local}Z`), parseInstant(`${local}+00:00`)]).toEqual([slowly, slowly]);
      },
    ),
  );
});
