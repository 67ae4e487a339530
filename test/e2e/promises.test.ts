import { expect, test } from '@jest/globals';
import { missingFrom, violationsIn } from '../../demo/expected-triggers.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { labOfTest } from '../support/lab.ts';

function at(n: number): string {
  return `2026-01-01T00:00:00.${String(n).padStart(9, '0')}Z`;
}

/** Triggers of `people`, `each` of them in turn: enter, exit, enter … */
function stream(people: number, each: number): (EventTrigger & { at: string })[] {
  const triggers = [];
  for (let turn = 0; turn < each; turn++) {
    for (let person = 0; person < people; person++) {
      const event = turn % 2 === 0 ? ('enter' as const) : ('exit' as const);
      triggers.push({ audience: 'vip', user: `p${person}`, event, at: at(turn * people + person), profile: {} });
    }
  }
  return triggers;
}

test('order per person: it holds over retries, and a person who must wait holds up nobody else', async () => {
  const failing = new Set(['p3', 'p7']);
  // They fail for as long as anybody else is still to be told about.
  const fails = (user: string | undefined) => failing.has(user ?? '') && lab.receiver.ledger.delivered < 48;
  const lab = await labOfTest({
    receiver: { answer: ({ message }) => (fails(message?.user) ? { status: 500 } : { status: 200, delayMs: 1 }) },
  });
  const job = await lab.start({ parallelRequestCount: 8 });
  const triggers = stream(10, 6);
  await lab.jobs.push(job, triggers);
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 60);
  expect(violationsIn(lab.receiver.ledger, triggers)).toEqual([]);
  expect(missingFrom(lab.receiver.ledger, triggers)).toEqual([]);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, outOfOrder: 0, overlaps: 0 });
});

test('[S28] cap: never more than Parallel Request Count requests are in flight, over three workers', async () => {
  const lab = await labOfTest({ workers: 3, receiver: { delayMs: 5 } });
  const job = await lab.start({ parallelRequestCount: 7 });
  const triggers = stream(700, 2);
  await lab.jobs.push(job, triggers);
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === triggers.length);
  expect(lab.receiver.ledger.mostInFlight).toBe(7);
  expect(violationsIn(lab.receiver.ledger, triggers)).toEqual([]);
});

test('same id: every attempt of a trigger has one webhook-id, and another trigger another', async () => {
  let refusals = 2;
  const lab = await labOfTest({
    receiver: { answer: () => (refusals-- > 0 ? { status: 429, headers: { 'retry-after': '1' } } : undefined) },
  });
  const job = await lab.start({ parallelRequestCount: 1 });
  await lab.jobs.push(job, [
    { audience: 'vip', user: 'p', event: 'enter', at: '2026-01-01T02:00:00.5+02:00', profile: {} },
    { audience: 'vip', user: 'p', event: 'enter', at: '2026-01-01T02:00:00.6+02:00', profile: {} },
  ]);
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 2);
  const ids = lab.receiver.ledger.entries.map(({ deliveryId }) => deliveryId);
  expect(ids).toHaveLength(4);
  expect(new Set(ids.slice(0, 3)).size).toBe(1);
  expect(ids[3]).not.toBe(ids[0]);
  // A throttled endpoint costs a trigger no attempt.
  expect((await lab.jobs.status(job)).retried).toBe(0);
});

test('[S30] an endpoint that is down is probed, not hammered, and heals by itself', async () => {
  let isDown = true;
  const lab = await labOfTest({ receiver: { answer: () => ({ status: isDown ? 503 : 200 }) } });
  const job = await lab.start({ parallelRequestCount: 4 });
  const triggers = stream(300, 1);
  await lab.jobs.push(job, triggers);
  const unhealthy = await lab.statusWhen(job, ({ endpoint }) => endpoint?.state === 'unhealthy');
  expect(unhealthy.waiting).toBe(300);
  const attempts = lab.receiver.ledger.requests;
  expect(attempts).toBeLessThan(60);
  isDown = false;
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 300);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, outOfOrder: 0 });
  expect(lab.receiver.ledger.mostInFlight).toBeLessThanOrEqual(4);
});

test('an endpoint that refuses everybody is asked about few, and what it refused is not lost to it', async () => {
  const lab = await labOfTest({ receiver: { answer: () => ({ status: 400 }) } });
  const job = await lab.start({ parallelRequestCount: 5 });
  await lab.jobs.push(job, stream(1000, 1));
  const unhealthy = await lab.statusWhen(
    job,
    ({ endpoint, inFlight }) => (endpoint?.refusedInRow ?? 0) >= 60 && inFlight === 0,
  );
  const { entries, requests } = lab.receiver.ledger;
  // From then on, one a second is tried.
  const sinceMs = Date.now() - (entries[59]?.arrivedAtMs ?? 0);
  expect(requests).toBeLessThanOrEqual(65 + sinceMs / 1000);
  expect(unhealthy).toMatchObject({ waiting: 1000, deadLetters: 0 });
});
