import { expect, test } from '@jest/globals';
import { SliceLab, trigger } from './a-slice.ts';

const people = (count: number) => Array.from({ length: count }, (_, i) => `person ${i + 1}`);
const NOTHING_BEFORE = { delivered: [], failed: [] };

test('a later attempt has one request in flight, since the job may have lent the other permits to others', async () => {
  const lab = await SliceLab.open({ delayMs: 20 });
  const triggers = people(6).map((user) => trigger(user));
  await lab.deliver(triggers, { permits: 4 }, NOTHING_BEFORE);
  expect(lab.receiver.ledger.summary()).toMatchObject({ delivered: 6, mostInFlight: 1 });
});

test('a later attempt gives no permits back', async () => {
  const lab = await SliceLab.open({ delayMs: 600 });
  const triggers = [trigger('1'), trigger('2')];
  await lab.deliver(triggers, { permits: 4, budgetMs: 50 });
  expect(lab.returned).toEqual([{ workflowId: 'test', sliceId: 7, left: 2 }]);
  await lab.deliver(triggers, { permits: 4, budgetMs: 50 }, NOTHING_BEFORE);
  expect(lab.returned).toHaveLength(1);
});

test('a worker that has just stood still sends nothing and asks nothing, and gives everything back', async () => {
  const lab = await SliceLab.open();
  lab.hasStalled = true;
  const report = await lab.deliver(people(3).map((user) => trigger(user)));
  expect(report).toEqual({ failed: [], unsent: [0, 1, 2], sendingMs: 0 });
  expect([lab.receiver.ledger.requests, lab.source.calls.profiles, lab.heartbeats]).toEqual([0, 0, []]);
});

test('a worker that has just stood still still says what an earlier attempt had settled', async () => {
  const lab = await SliceLab.open();
  lab.hasStalled = true;
  const before = { delivered: [[0, 0]] as const, failed: [{ index: 2, status: 500, durationMs: 9 }] };
  const triggers = people(4).map((user) => trigger(user));
  expect(await lab.deliver(triggers, {}, before)).toMatchObject({
    failed: [{ index: 2, status: 500 }],
    unsent: [1, 3],
  });
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
