import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { intervalMs, RequestSpacing } from '../../../src/domain/job/throttles/request-rate.ts';
import { always } from '../../support/properties.ts';

const rate = fc.oneof(
  fc.double({ min: 0.01, max: 1000, noNaN: true }),
  fc.constantFrom(0.01, 0.1, 1, 2, 3, 20, 200, 1000),
);

/** The starts of a sender that starts as soon as it may, held up again and again. */
function startsOf(perSecond: number, delaysMs: readonly number[]): number[] {
  const spacing = new RequestSpacing(perSecond, -Infinity);
  let now = 0;
  return delaysMs.map((delayMs) => {
    now = Math.max(now + delayMs, spacing.from);
    spacing.start(now);
    return now;
  });
}

test("requests never start faster than the rate, with half a second's worth at once, whatever holds them up", () => {
  const delays = fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(3000)), { maxLength: 150 });
  always(
    fc.property(rate, delays, (perSecond, delaysMs) => {
      const times = startsOf(perSecond, delaysMs);
      const burst = Math.max(1, perSecond / 2);
      for (const [last, at] of times.entries())
        for (const [first, from] of times.slice(0, last + 1).entries())
          if (last - first + 1 > ((at - from) * perSecond) / 1000 + burst + 1e-6) return false;
      return true;
    }),
  );
  expect(true).toBe(true);
});

test('a sender that is often held up below half a second still reaches the rate within a twentieth', () => {
  always(
    fc.property(
      fc.double({ min: 2, max: 1000, noNaN: true }),
      fc.array(fc.nat(400), { minLength: 20 }),
      (perSecond, pauses) => {
        const burst = Math.max(1, Math.floor(perSecond / 2));
        const longest = (burst - 1) * intervalMs(perSecond);
        const spacing = new RequestSpacing(perSecond, -Infinity);
        let [now, count, pausedIn] = [0, 0, 0];
        while (now < 10_000) {
          spacing.start(now);
          count++;
          // Once a second, for no longer than is made up for.
          const second = Math.floor(now / 1000);
          const pauseMs = second > pausedIn ? Math.min(pauses[second] ?? 0, longest) : 0;
          if (pauseMs > 0) pausedIn = second;
          now = Math.max(now + pauseMs, spacing.from);
        }
        return count >= perSecond * 9.5 - 1 && count <= perSecond * 10.5 + 1;
      },
    ),
  );
  expect(true).toBe(true);
});

test.each([
  [0.1, 1],
  [1, 1],
  [3, 1],
  [20, 10],
  [200, 100],
])('after a rest, at %d a second, %i start at once', (perSecond, burst) => {
  const spacing = new RequestSpacing(perSecond, 0);
  const now = 1_000_000;
  let atOnce = 0;
  for (; spacing.from <= now; atOnce++) spacing.start(now);
  expect(atOnce).toBe(burst);
  expect(spacing.from).toBeCloseTo(now + intervalMs(perSecond));
});

test('the predicted number of starts by some time is the actual one', () => {
  always(
    fc.property(
      rate,
      fc.integer({ min: 0, max: 3000 }),
      fc.integer({ min: -2000, max: 2000 }),
      (perSecond, ms, from) => {
        const spacing = new RequestSpacing(perSecond, from);
        const most = new RequestSpacing(perSecond, from).mostUntil(ms, 0);
        let count = 0;
        for (let at = Math.max(0, spacing.from); at <= ms; at = Math.max(at, spacing.from)) {
          spacing.start(at);
          count++;
        }
        // To one, since fractions are not exact.
        return Math.abs(most - Math.max(1, count)) <= 1;
      },
    ),
  );
  expect(new RequestSpacing(20, -Infinity).mostUntil(1000, 0)).toBe(30);
  expect(new RequestSpacing(0.1, 5000).mostUntil(1000, 0)).toBe(1);
});
