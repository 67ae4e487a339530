import { expect, test } from '@jest/globals';
import { QuickSlices, type RunningSlice } from '../../src/activities/quick-slices.ts';
import { SettledTriggers } from '../../src/activities/send-budget.ts';
import type { SliceReport } from '../../src/contract/slice.ts';
import { until } from '../support/patience.ts';

const REPORT: SliceReport = { failed: [], unsent: [], sendingMs: 1 };

/** A slice that ends when the test says so. */
class ASlice implements RunningSlice {
  readonly settled = new SettledTriggers(1);
  readonly ended: Promise<SliceReport>;
  isAborted = false;
  end: () => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => (this.end = () => resolve(REPORT)));
  }

  readonly cancel = (): void => undefined;
  readonly abort = (): void => void (this.isAborted = true);
}

const never = (): RunningSlice => {
  throw new Error('It was sent once more.');
};

test('a slice that ends soon is reported to its workflow task', async () => {
  const slice = new ASlice();
  slice.end();
  expect(await new QuickSlices().soon('a', () => slice)).toEqual(REPORT);
});

test('one that takes longer is open, and an activity gets the same slice', async () => {
  const quick = new QuickSlices();
  const slice = new ASlice();
  expect(await quick.soon('a', () => slice)).toBeUndefined();
  expect(await quick.take('a')).toBe(slice);
});

test('a workflow task that is done again waits for the slice of the first time, and sends nothing', async () => {
  const quick = new QuickSlices();
  const slice = new ASlice();
  await quick.soon('a', () => slice);
  slice.end();
  expect(await quick.soon('a', never)).toEqual(REPORT);
});

test('requests that no activity asks for end before another worker may have the slice', async () => {
  const quick = new QuickSlices(10);
  const slice = new ASlice();
  await quick.soon('a', () => slice);
  expect(slice.isAborted).toBe(false);
  await until(() => slice.isAborted);
  await expect(quick.take('a')).rejects.toMatchObject({ type: 'SliceNotHere' });
});

test('requests that an activity asked for stay open', async () => {
  const quick = new QuickSlices(10);
  const [slice, other] = [new ASlice(), new ASlice()];
  await quick.soon('a', () => slice);
  await quick.take('a');
  await quick.soon('b', () => other);
  await until(() => other.isAborted);
  expect(slice.isAborted).toBe(false);
});

test('a slice is unknown elsewhere, and is given up there only when its requests have ended', async () => {
  const beganAt = performance.now();
  await expect(new QuickSlices(100).take('a')).rejects.toMatchObject({ type: 'SliceNotHere' });
  expect(performance.now() - beganAt).toBeGreaterThanOrEqual(99);
});
