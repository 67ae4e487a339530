import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Meter, ratesBy } from '../../src/domain/meter.ts';
import { always } from '../support/properties.ts';

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

test('with nothing counted there is no rate, and many counted at once do not make it infinite', () => {
  expect(new Meter().rates(NOW)).toEqual({ oneMinute: 0, fiveMinutes: 0 });
  const meter = new Meter();
  meter.count(500, NOW);
  expect(meter.rates(NOW).oneMinute).toBeLessThanOrEqual(510);
});

test('what a job has answered is said as it is by the time that somebody reads it', () => {
  const meter = new Meter();
  meter.count(300, NOW);
  const answered = meter.dated(NOW);
  expect(answered.oneMinute).toBeGreaterThan(300);
  // 300 in ten seconds, in a minute, and long ago.
  expect(ratesBy(answered, NOW + 10_000).oneMinute).toBeLessThan(30);
  expect(ratesBy(answered, NOW + 60_000).oneMinute).toBeLessThan(5);
  expect(ratesBy(answered, NOW + 3_600_000)).toEqual({ oneMinute: 0, fiveMinutes: 0 });
});

test('read later, rates are what the meter itself would say then, also by a clock that goes back', () => {
  always(
    fc.property(fc.nat(1000), fc.nat(600), fc.integer({ min: -5000, max: 600_000 }), (speed, seconds, laterMs) => {
      const { meter, now } = steady(speed, seconds);
      const said = ratesBy(meter.dated(now), now + laterMs);
      const rates = meter.rates(now + Math.max(0, laterMs));
      // Both are rounded, the one that is read later twice.
      for (const window of ['oneMinute', 'fiveMinutes'] as const)
        expect(Math.abs(said[window] - rates[window])).toBeLessThanOrEqual(1 + rates[window] * 0.05);
    }),
  );
});

test('rates of a job on an older release, which does not say when they were so, stay as they are', () => {
  expect(ratesBy({ oneMinute: 3, fiveMinutes: 2 }, NOW)).toEqual({ oneMinute: 3, fiveMinutes: 2 });
});

test('carried in between, or by a clock that goes back, it says a number that is none too large', () => {
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
