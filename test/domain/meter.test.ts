import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Meter } from '../../src/domain/meter.ts';

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

test('carried in between, or by a clock that goes back, it says a number that is none too large', () => {
  const steps = fc.array(fc.tuple(fc.nat(1000), fc.integer({ min: -5000, max: 60_000 })), { maxLength: 30 });
  fc.assert(
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
