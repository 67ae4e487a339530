import { expect, test } from '@jest/globals';
import { SliceLab, trigger } from './a-slice.ts';

const people = (count: number) => Array.from({ length: count }, (_, index) => trigger(`person ${index}`));

/** Timers may fire a little early, clocks are read in whole ms. */
const SLACK_MS = 30;

test('requests start as their pace allows: half a second’s worth at once, then one after the other', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver(people(20), { permits: 20, pace: { perSecond: 20 } });
  expect(report).toMatchObject({ failed: [], unsent: [] });
  expect(report.sendingMs).toBeGreaterThanOrEqual(500 - SLACK_MS);
  const { nextAtMs = 0, inMs = 0 } = report.spacing ?? {};
  expect(inMs).toBeLessThanOrEqual(50);
  expect(Math.abs(nextAtMs - Date.now())).toBeLessThan(10_000);
});

test('the first waits until it may start, but never longer than one interval, whatever the clocks say', async () => {
  const lab = await SliceLab.open();
  const began = performance.now();
  await lab.deliver(people(1), { pace: { perSecond: 5, nextAtMs: Date.now() + 150 } });
  expect(performance.now() - began).toBeGreaterThanOrEqual(150 - SLACK_MS);
  const report = await lab.deliver(people(1), {
    pace: { perSecond: 5, nextAtMs: Date.now() + 3_600_000 },
    budgetMs: 20_000,
  });
  expect(report.unsent).toEqual([]);
});

test('what cannot be started within the budget goes back at once', async () => {
  const lab = await SliceLab.open();
  const began = performance.now();
  const report = await lab.deliver(people(3), { pace: { perSecond: 0.1 }, budgetMs: 5_000, permits: 3 });
  expect(report).toMatchObject({ unsent: [1, 2], failed: [] });
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('one that needs no request uses up none of the rate', async () => {
  const lab = await SliceLab.open();
  const { profile: _, ...unknown } = trigger('unknown');
  const report = await lab.deliver([unknown, ...people(1)], { pace: { perSecond: 0.1 }, budgetMs: 5_000, permits: 1 });
  expect(report).toMatchObject({ failed: [{ index: 0, code: 'PROFILE_MISSING' }], unsent: [] });
});

test('a slice of which nothing was sent hands its spacing on as it was', async () => {
  const lab = await SliceLab.open();
  const nextAtMs = Date.now() - 1000;
  const report = await lab.deliver(people(1), {
    pace: { perSecond: 1, nextAtMs },
    settings: { authorization: 'unknown' },
  });
  expect(report.failed).toHaveLength(1);
  expect(Math.abs((report.spacing?.nextAtMs ?? 0) - nextAtMs)).toBeLessThanOrEqual(2);
});

test('of an earlier attempt nobody knows what it started: the next request waits for an interval', async () => {
  const lab = await SliceLab.open();
  const began = performance.now();
  await lab.deliver(people(1), { pace: { perSecond: 5 } }, { delivered: [], failed: [] });
  expect(performance.now() - began).toBeGreaterThanOrEqual(200 - SLACK_MS);
});

test('once the last request is started, the slice says so, and starts nothing more', async () => {
  const lab = await SliceLab.open({ delayMs: 600 });
  const report = await lab.deliver(people(4), { permits: 4, pace: { perSecond: 10 } });
  expect(lab.returned).toEqual([
    { workflowId: 'test', sliceId: 7, left: 4, spacing: report.spacing && expect.anything() },
  ]);
  expect(lab.returned[0]?.spacing?.nextAtMs).toBeCloseTo(report.spacing?.nextAtMs ?? 0, -1);
});

test('fast answers need no such word', async () => {
  const lab = await SliceLab.open();
  await lab.deliver(people(4), { permits: 4, pace: { perSecond: 100 } });
  expect(lab.returned).toEqual([]);
});

test('a slice without a pace reports none', async () => {
  const lab = await SliceLab.open();
  expect(await lab.deliver(people(1))).not.toHaveProperty('spacing');
});
