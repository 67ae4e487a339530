import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringifyJson } from '../../src/domain/json.ts';
import { Trend, Meter, trendUntil } from '../../src/domain/trend.ts';
import { always } from '../support/properties.ts';

const MINUTE_MS = 60_000;
const T = Date.UTC(2026, 10, 27, 8, 30);

test('a minute has what was delivered and failed in it, and how many waited at its end', () => {
  const trend = new Trend();
  trend.count(3, 1, 9, T);
  trend.count(2, 0, 7, T + 59_999);
  trend.count(4, 2, 5, T + 3 * MINUTE_MS);
  expect(trend.describe(T + 4 * MINUTE_MS).hour).toEqual([
    { at: '2026-11-27T08:30:00.000000000Z', delivered: 5, failed: 1, waiting: 7 },
    { at: '2026-11-27T08:31:00.000000000Z', delivered: 0, failed: 0, waiting: 7 },
    { at: '2026-11-27T08:32:00.000000000Z', delivered: 0, failed: 0, waiting: 7 },
    { at: '2026-11-27T08:33:00.000000000Z', delivered: 4, failed: 2, waiting: 5 },
    { at: '2026-11-27T08:34:00.000000000Z', delivered: 0, failed: 0, waiting: 5 },
  ]);
  expect(trend.describe(T + 4 * MINUTE_MS).day).toEqual([
    { at: '2026-11-27T08:30:00.000000000Z', delivered: 9, failed: 3, waiting: 5 },
  ]);
});

test('an hour of minutes and a day of quarters are kept, and what waited before them', () => {
  const trend = new Trend();
  for (let minute = 0; minute <= 3 * 24 * 60; minute++) trend.count(1, 0, minute, T + minute * MINUTE_MS);
  const now = T + 3 * 24 * 60 * MINUTE_MS;
  const { hour, day } = trend.describe(now);
  expect([hour.length, day.length]).toEqual([60, 96]);
  expect(hour.every(({ delivered }) => delivered === 1)).toBe(true);
  expect(day.slice(0, -1).every(({ delivered }) => delivered === 15)).toBe(true);
  expect(trend.describe(now + 59 * MINUTE_MS).hour.slice(0, 2)).toMatchObject([
    { delivered: 1, waiting: 3 * 24 * 60 },
    { delivered: 0, waiting: 3 * 24 * 60 },
  ]);
  const later = trend.describe(now + 7 * 24 * 60 * MINUTE_MS);
  expect([later.hour.length, later.day.length]).toEqual([60, 96]);
  expect(later.hour.every(({ delivered, waiting }) => delivered === 0 && waiting === 3 * 24 * 60)).toBe(true);
});

test('a job that only waits keeps a single minute, and a new job nothing', () => {
  const trend = new Trend();
  expect([trend.carry(), trend.bytes]).toEqual([undefined, 0]);
  for (let minute = 0; minute < 600; minute++) trend.count(0, 0, 0, T + minute * MINUTE_MS);
  expect(trend.carry()).toBeUndefined();
  for (let minute = 600; minute < 1200; minute++) trend.count(0, 0, 7, T + minute * MINUTE_MS);
  expect(trend.carry()?.minutes).toHaveLength(1);
});

test('a clock that goes back takes nothing away', () => {
  const trend = new Trend();
  trend.count(1, 0, 0, T + MINUTE_MS);
  trend.count(1, 0, 0, T);
  expect(trend.describe(T).hour).toMatchObject([{ delivered: 2 }]);
});

test('a carried trend goes on as before, and is never much larger than it says', () => {
  const count = fc.record({
    delivered: fc.nat(1_000_000),
    failed: fc.nat(10_000),
    waiting: fc.nat(1_000_000),
    afterMs: fc.nat(20 * MINUTE_MS),
  });
  always(
    fc.property(fc.array(count, { maxLength: 300 }), (counts) => {
      const [whole, carried] = [new Trend(), { trend: new Trend() }];
      let now = T;
      for (const { delivered, failed, waiting, afterMs } of counts) {
        now += afterMs;
        whole.count(delivered, failed, waiting, now);
        carried.trend = new Trend(carried.trend.carry());
        carried.trend.count(delivered, failed, waiting, now);
      }
      expect(carried.trend.describe(now)).toEqual(whole.describe(now));
      expect(whole.bytes).toBeLessThanOrEqual(158 * 32);
      expect(stringifyJson(whole.carry() ?? {}).length).toBeLessThanOrEqual(whole.bytes + 30);
    }),
  );
});

test('a trend that ends with the last event goes on up to now, with nothing in it', () => {
  const events = fc.array(fc.record({ afterMs: fc.nat(40 * MINUTE_MS), failed: fc.nat(3), waiting: fc.nat(9) }), {
    minLength: 1,
    maxLength: 30,
  });
  always(
    fc.property(events, fc.nat(3 * 24 * 60 * MINUTE_MS), (told, laterMs) => {
      const trend = new Trend();
      let now = T;
      for (const { afterMs, failed, waiting } of told) trend.count(1, failed, waiting, (now += afterMs));
      expect(trendUntil(trend.describe(now), now + laterMs)).toEqual(trend.describe(now + laterMs));
    }),
  );
  const never = { v: 1, hour: [], day: [] } as const;
  expect(trendUntil(never, T)).toEqual(never);
});

const NOW = Date.UTC(2026, 0, 1);

/** A meter that counted `perSecond` for so many seconds, and the time then. */
function steady(perSecond: number, seconds: number): { meter: Meter; now: number } {
  const meter = new Meter();
  for (let second = 0; second <= seconds; second++) meter.count(perSecond, NOW + second * 1000);
  return { meter, now: NOW + seconds * 1000 };
}

test.each([5, 30, 60, 600, 3600])('a steady rate is that rate after %i seconds, over both windows', (seconds) => {
  const { meter, now } = steady(50, seconds);
  const { oneMinute, fiveMinutes } = meter.rates(now);
  for (const rate of [oneMinute, fiveMinutes]) expect(Math.abs(rate - 50)).toBeLessThanOrEqual(50 / seconds + 1);
});

test('when it ends, the rate over a minute fades sooner than the one over five', () => {
  const { meter, now } = steady(100, 600);
  const { oneMinute, fiveMinutes } = meter.rates(now + 120_000);
  expect(oneMinute).toBeLessThan(20);
  expect(fiveMinutes).toBeGreaterThan(60);
  expect(meter.rates(now + 3_600_000)).toEqual({ oneMinute: 0, fiveMinutes: 0 });
});

test('a meter without counts has no rate, and many counts at once do not make it infinite', () => {
  expect(new Meter().rates(NOW)).toEqual({ oneMinute: 0, fiveMinutes: 0 });
  const meter = new Meter();
  meter.count(500, NOW);
  expect(meter.rates(NOW).oneMinute).toBeLessThanOrEqual(510);
});

test('a meter that is carried, or whose clock goes back, never shows a rate that is too large', () => {
  const steps = fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: -5000, max: 60_000 })), { maxLength: 30 });
  always(
    fc.property(steps, (all) => {
      let meter = new Meter();
      let now = NOW;
      let sum = 0;
      for (const [events, ms] of all) {
        now += ms;
        sum += events;
        meter.count(events, now);
        meter = new Meter(JSON.parse(JSON.stringify(meter.carry())) as ReturnType<Meter['carry']>);
        const { oneMinute, fiveMinutes } = meter.rates(now);
        for (const rate of [oneMinute, fiveMinutes]) {
          expect(rate).toBeGreaterThanOrEqual(0);
          expect(rate).toBeLessThanOrEqual(sum * 1.02 + 1);
        }
      }
    }),
  );
});
