import { expect, test } from '@jest/globals';
import { createPushClock } from '../../../src/client/push/push.ts';

const T = Date.UTC(2026, 10, 26, 8, 30);

test('each time is the present one, and later than those before it, whatever the clock and the draw say', () => {
  const times = [T, T, T, T - 5000, T + 1];
  const draws = [7, 3, 999_999, 5, 0];
  const clock = createPushClock(
    () => times.shift() ?? 0,
    () => draws.shift() ?? 0,
  );
  expect(Array.from({ length: 5 }, clock)).toEqual([
    '2026-11-26T08:30:00.000000007+00:00',
    '2026-11-26T08:30:00.000000008+00:00',
    '2026-11-26T08:30:00.000999999+00:00',
    '2026-11-26T08:30:00.001000000+00:00',
    '2026-11-26T08:30:00.001000001+00:00',
  ]);
});

test('two programs that push in the same millisecond say two times', () => {
  const [one, other] = [createPushClock(() => T), createPushClock(() => T)];
  const times = Array.from({ length: 3 }, () => [one(), other()]).flat();
  expect(times.every((time) => time.startsWith('2026-11-26T08:30:00.000'))).toBe(true);
  expect(new Set(times).size).toBe(6);
});
