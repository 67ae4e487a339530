import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { StallWatch } from '../../src/activities/stall-watch.ts';

let watch: StallWatch;

beforeEach(() => {
  watch = new StallWatch();
});
afterEach(() => watch.close());

/** The whole process stands still, timers and all, as if it were stopped. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test('a process that stood still knows at once, and for a moment', async () => {
  expect(watch.hasStalled()).toBe(false);
  standStill(3200);
  expect(watch.hasStalled()).toBe(true);
  const since = Date.now();
  // Asking does not put the end off.
  while (watch.hasStalled()) await setTimeout(50);
  expect(Date.now() - since).toBeGreaterThan(1500);
  expect(Date.now() - since).toBeLessThan(3000);
});

test('a process that was busy for a second did not stand still', () => {
  standStill(1000);
  expect(watch.hasStalled()).toBe(false);
});

test('a process that nobody asked for long did not stand still', async () => {
  await setTimeout(3600);
  expect(watch.hasStalled()).toBe(false);
});
