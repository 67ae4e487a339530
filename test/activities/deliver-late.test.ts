import { expect, test } from '@jest/globals';
import { SliceLab, trigger } from './a-slice.ts';

const people = (count: number) => Array.from({ length: count }, (_, i) => `person ${i + 1}`);

test('a worker that has just stood still sends nothing and asks nothing, and gives everything back', async () => {
  const lab = await SliceLab.open();
  lab.hasStalled = true;
  const report = await lab.deliver(people(3).map((user) => trigger(user)));
  expect(report).toEqual({ failed: [], unsent: [0, 1, 2], sendingMs: 0 });
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles, lab.heartbeats]).toEqual([0, 0, []]);
});

test('a slice whose time is over, by the clock of its worker, sends nothing and asks nothing, and gives everything back', async () => {
  const lab = await SliceLab.open();
  const report = await lab.deliver([trigger('1')], { notAfterMs: Date.now() });
  expect(report).toEqual({ failed: [], unsent: [0], sendingMs: 0 });
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles]).toEqual([0, 0]);
});

test('once its time is over a slice starts no further request, however much of its budget is left', async () => {
  const lab = await SliceLab.open({ delayMs: 150 });
  const notAfterMs = Date.now() + 400;
  const report = await lab.deliver(
    people(20).map((user) => trigger(user)),
    { permits: 1, budgetMs: 10_000, notAfterMs },
  );
  const { entries } = lab.receiver.ledger;
  expect(entries.length).toBeGreaterThan(0);
  for (const { arrivedAtMs } of entries) expect(arrivedAtMs).toBeLessThan(notAfterMs + 100);
  expect(report.unsent).toHaveLength(20 - entries.length);
});

test('no request lasts longer than the job reckons with, whatever the worker allows', async () => {
  const lab = await SliceLab.open({ answer: () => 'hang', requestTimeoutMs: 20_000 });
  const report = await lab.deliver([trigger('1')], { settings: { requestTimeoutMs: 200 } });
  expect(report.failed).toMatchObject([{ index: 0, code: 'REQUEST_TIMEOUT' }]);
  expect(report.failed[0]?.durationMs).toBeLessThan(15_000);
});
