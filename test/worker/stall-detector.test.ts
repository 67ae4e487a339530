import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { StallDetector } from '../../src/worker/stall-detector.ts';

let detector: StallDetector;

beforeEach(() => {
  detector = new StallDetector();
});
afterEach(() => detector.close());

/** The whole process stands still, timers and all, as if it were stopped. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a process that stood still knows at once, and for a moment', async () => {
  expect(detector.hasStalled()).toBe(false);
  standStill(3200);
  const since = Date.now();
  expect(detector.hasStalled()).toBe(true);
  // Asking does not put the end off.
  while (detector.hasStalled()) await setTimeout(50);
  expect(Date.now() - since).toBeGreaterThan(1500);
  expect(Date.now() - since).toBeLessThan(30_000);
});

test('a process that was busy for a second did not stand still', () => {
  standStill(1000);
  expect(detector.hasStalled()).toBe(false);
});

test('a process that nobody asked for long did not stand still', async () => {
  await setTimeout(3600);
  expect(detector.hasStalled()).toBe(false);
});
