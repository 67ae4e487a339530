import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { slicePermits, sliceSize, updateRequestMs } from '../../../src/domain/dispatcher/pace.ts';

test.each([
  [20, 16, 2],
  [5, 5, 1],
  [500, 16, 32],
  [1, 1, 1],
  [3, 0, 3],
])('%i free permits over %i slices are %i each', (free, slices, permits) => {
  expect(slicePermits(free, slices)).toBe(permits);
});

test.each([
  ['a second of work', { permits: 2, free: 20, ready: 100_000, requestMs: 50 }, 40],
  ['its share of what is ready', { permits: 2, free: 20, ready: 300, requestMs: 50 }, 30],
  ['no fewer than its permits, so that none idles', { permits: 4, free: 20, ready: 1, requestMs: 15_000 }, 4],
  ['no more than a thousand', { permits: 20, free: 20, ready: 1_000_000, requestMs: 0.1 }, 1000],
  ['50 ms of work at least, to be worth the way', { permits: 2, free: 20, ready: 10, requestMs: 1 }, 100],
])('a slice takes %s', (_, { permits, free, ready, requestMs }, size) => {
  expect(sliceSize({ permits, freePermits: free, allPermits: free, ready, requestMs, running: 15, most: 16 })).toBe(
    size,
  );
});

test('with a slow endpoint, the last of what is ready is left to the slices that end next, but for a tenth of a second of work', () => {
  const measure = { permits: 2, freePermits: 2, allPermits: 20, requestMs: 50, running: 15, most: 16 };
  expect([300, 100, 30].map((ready) => sliceSize({ ...measure, ready }))).toEqual([30, 10, 4]);
});

test('with a fast one, a slice takes all that it can send in a second', () => {
  const measure = { permits: 2, freePermits: 2, allPermits: 20, requestMs: 5, running: 15, most: 16 };
  expect([500, 300].map((ready) => sliceSize({ ...measure, ready }))).toEqual([400, 300]);
});

test('a slice is whole rounds of its permits: none of them waits for the last request of another', () => {
  const measure = { permits: 3, freePermits: 3, allPermits: 50, ready: 100_000, running: 15, most: 16 };
  expect([51.6, 300, 700].map((requestMs) => sliceSize({ ...measure, requestMs }))).toEqual([57, 9, 3]);
});

test('slices that are cut together do not end together', () => {
  const measure = { permits: 1, freePermits: 16, allPermits: 16, ready: 100_000, requestMs: 10, most: 4 };
  expect([0, 1, 2, 3].map((running) => sliceSize({ ...measure, running }))).toEqual([25, 50, 75, 100]);
});

test('a slice takes between its permits and a thousand triggers, whatever was measured', () => {
  const count = fc.integer({ min: 1, max: 500 });
  fc.assert(
    fc.property(
      count,
      count,
      fc.nat(500),
      fc.nat(10_000_000),
      fc.double({ min: 0, noNaN: true }),
      (a, b, c, ready, requestMs) => {
        const freePermits = Math.max(a, b);
        const measure = { permits: Math.min(a, b), freePermits, allPermits: freePermits + c, ready, requestMs };
        const size = sliceSize({ ...measure, running: a % 16, most: 16 });
        expect(size).toBeGreaterThanOrEqual(Math.min(a, b));
        expect(size).toBeLessThanOrEqual(1000);
        expect(Number.isInteger(size)).toBe(true);
      },
    ),
  );
});

test('the estimate follows what is measured, by half', () => {
  expect(updateRequestMs(100, 5, 50, 500)).toBe(75);
  let ms = 100;
  for (let i = 0; i < 20; i++) ms = updateRequestMs(ms, 20, 1000, 50);
  expect(ms).toBeCloseTo(1, 3);
});

test('permits that had nothing to do do not make requests look slow', () => {
  expect(updateRequestMs(10, 500, 1, 10)).toBe(10);
});

test('a slice that sent nothing teaches nothing', () => {
  expect(updateRequestMs(42, 5, 0, 1000)).toBe(42);
});
