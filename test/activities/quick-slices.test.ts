import { expect, test } from '@jest/globals';
import { QuickSlices, type RunningSlice } from '../../src/activities/quick-slices.ts';
import { SettledTriggers } from '../../src/activities/send-budget.ts';
import type { PackedSlice, SliceReport } from '../../src/contract/slice.ts';
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

/** The slice with the triggers of these people. */
function of(...users: string[]): Pick<PackedSlice, 'triggers'> {
  return { triggers: users.map((user) => [user, 1, '']) };
}

const now = (): number => Date.now();

test('a slice that ends soon is reported to its workflow task', async () => {
  const slice = new ASlice();
  slice.end();
  expect(await new QuickSlices().soon('a', of('1'), now(), () => slice)).toEqual(REPORT);
});

test('one that takes longer is open, and an activity gets the same slice', async () => {
  const quick = new QuickSlices();
  const slice = new ASlice();
  expect(await quick.soon('a', of('1'), now(), () => slice)).toBe('open');
  expect(await quick.take('a')).toBe(slice);
});

test('a workflow task that began too long ago begins no slice', async () => {
  expect(await new QuickSlices().soon('a', of('1'), now() - 3_000, never)).toBe('late');
});

test('a workflow task that is done again waits for the slice of the first time, and sends nothing', async () => {
  const quick = new QuickSlices();
  const slice = new ASlice();
  await quick.soon('a', of('1'), now(), () => slice);
  slice.end();
  expect(await quick.soon('a', of('1'), now() - 3_000, never)).toEqual(REPORT);
});

test('one that is done again with other triggers ends the slice of the first time, and begins its own', async () => {
  const quick = new QuickSlices();
  const [slice, other] = [new ASlice(), new ASlice()];
  await quick.soon('a', of('1'), now(), () => slice);
  const beginsAfter: boolean[] = [];
  const again = quick.soon('a', of('1', '2'), now(), () => {
    beginsAfter.push(slice.isAborted);
    return other;
  });
  await until(() => slice.isAborted);
  expect(beginsAfter).toEqual([]);
  slice.end();
  other.end();
  expect(await again).toEqual(REPORT);
  expect(beginsAfter).toEqual([true]);
});

test('requests that no activity asks for end before another worker may have the slice', async () => {
  const quick = new QuickSlices({ abortMs: 150 });
  const slice = new ASlice();
  await quick.soon('a', of('1'), now(), () => slice);
  expect(slice.isAborted).toBe(false);
  await until(() => slice.isAborted);
  await expect(quick.take('a')).rejects.toMatchObject({ type: 'SliceNotHere' });
});

test('requests that an activity asked for stay open', async () => {
  const quick = new QuickSlices({ abortMs: 150 });
  const [slice, other] = [new ASlice(), new ASlice()];
  await quick.soon('a', of('1'), now(), () => slice);
  await quick.take('a');
  await quick.soon('b', of('1'), now(), () => other);
  await until(() => other.isAborted);
  expect(slice.isAborted).toBe(false);
});

test('a slice is unknown elsewhere, and is given up there only when its requests have ended', async () => {
  const beganAt = performance.now();
  await expect(new QuickSlices({ abortMs: 100 }).take('a')).rejects.toMatchObject({ type: 'SliceNotHere' });
  expect(performance.now() - beganAt).toBeGreaterThanOrEqual(99);
});

test('a worker that shuts down begins none, and waits until an activity has asked for those that are open', async () => {
  const quick = new QuickSlices();
  await quick.soon('a', of('1'), now(), () => new ASlice());
  let isClosed = false;
  const closing = quick.close().then(() => (isClosed = true));
  expect(await quick.soon('b', of('1'), now(), never)).toBe('late');
  expect(isClosed).toBe(false);
  await quick.take('a');
  await closing;
});
