import { expect, test } from '@jest/globals';
import { createPushClock } from '../../../src/client/push/push.ts';

const T = Date.UTC(2026, 10, 26, 8, 30);

test('each time is the present one, and later than those before it, whatever the clock and the draw say', () => {
  const times = [T, T, T + 1, T - 5000, T + 2, T + 2];
  const draws = [7, 999_999, 5, 0];
  const clock = createPushClock(
    () => times.shift() ?? 0,
    () => draws.shift() ?? 0,
  );
  expect(Array.from({ length: 6 }, clock)).toEqual([
    '2026-11-26T08:30:00.000000007+00:00',
    '2026-11-26T08:30:00.000000008+00:00',
    '2026-11-26T08:30:00.001999999+00:00',
    '2026-11-26T08:30:00.002000000+00:00',
    '2026-11-26T08:30:00.002000001+00:00',
    '2026-11-26T08:30:00.002000002+00:00',
  ]);
});

test('two programs that push in the same millisecond say two times', () => {
  const [one, other] = [createPushClock(() => T), createPushClock(() => T)];
  const times = Array.from({ length: 3 }, () => [one(), other()]).flat();
  expect(times.every((time) => time.startsWith('2026-11-26T08:30:00.000'))).toBe(true);
  expect(new Set(times).size).toBe(6);
});
