import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { elementsOf } from '../../src/local/ledger.ts';
import { Lab, VIP } from '../support/lab.ts';

const MEMBERS = Array.from({ length: 60 }, (_, index) => `member-${String(index).padStart(2, '0')}`);
/** A request with this person is refused. */
const POISON = 'member-17';

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({
    workers: 2,
    content: {
      audiences: [{ ...VIP, members: MEMBERS }],
      profiles: Object.fromEntries(MEMBERS.map((user) => [user, { user }])),
    },
    receiver: {
      answer: (arrival) =>
        elementsOf(arrival).some(({ message }) => message?.user === POISON) ? { status: 422, body: 'no' } : undefined,
    },
  });
});
afterAll(async () => lab.close());

test('a job that sends in batches: a backfill and live triggers in few requests, and what cannot be accepted is a dead letter, alone', async () => {
  const job = await lab.start({
    audiences: ['vip'],
    batch: { size: 20, afterMs: 300 },
    parallelRequestCount: 2,
    existingUsers: true,
    webhookUrl: `${lab.receiver.url}batches`,
  });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= MEMBERS.length - 1);
  const before = lab.receiver.ledger.requests;
  // The first one alone, three batches, and the halves of one of them.
  expect(before).toBeLessThan(20);
  await Promise.all(
    MEMBERS.slice(0, 10).map((user) => lab.jobs.exit(job, { audience: 'vip', user, profile: { user } })),
  );
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= MEMBERS.length + 9);
  expect(lab.receiver.ledger.requests - before).toBeLessThan(10);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, outOfOrder: 0, overlaps: 0, unreadable: 0 });
  expect(lab.receiver.ledger.mostInFlight).toBeLessThanOrEqual(2);
  const status = await lab.statusWhen(job, ({ waiting, deadLetters }) => waiting === 0 && deadLetters === 1);
  expect(status).toMatchObject({ delivered: MEMBERS.length + 9, deadLetters: 1, retried: 0 });
  const told: unknown[] = [];
  for await (const event of lab.jobs.trace(POISON, { jobId: job })) told.push(event);
  expect(JSON.stringify(told)).toContain('"status":422');
  await lab.jobs.stop(job);
});
