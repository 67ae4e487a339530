import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Lab, NEWS, VIP } from '../support/lab.ts';

const MEMBERS = Array.from({ length: 1000 }, (_, index) => `member-${String(index).padStart(4, '0')}`);

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open({
    content: {
      audiences: [
        { ...VIP, members: MEMBERS },
        { ...NEWS, members: [] },
      ],
      profiles: Object.fromEntries(MEMBERS.map((user) => [user, { user }])),
    },
  });
});
afterAll(async () => lab.close());

const delivered = (): number => lab.receiver.ledger.delivered;

test('a sample goes first, and the others when a person says so; a live trigger does not wait for that', async () => {
  const before = delivered();
  const job = await lab.start({ audiences: ['vip'], parallelRequestCount: 10 });
  await lab.jobs.backfill(job, { sample: 1 });
  const { backfill } = await lab.statusWhen(
    job,
    (status) => status.backfill?.state === 'paused' && status.backfill.delivered > 0,
  );
  expect(backfill).toMatchObject({ pausedBy: 'sample', delivered: 1, expected: 1000 });
  await lab.jobs.exit(job, { audience: 'vip', user: 'live', profile: {} });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === before + 2);
  await lab.jobs.backfill(job, { action: 'resume' });
  await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
  expect(delivered()).toBe(before + 1001);
});

test('paused, it sends nobody; resumed, everybody who is left; cancelled, nobody more', async () => {
  const job = await lab.start({ audiences: ['vip'], parallelRequestCount: 2, backfillPerSecond: 50 });
  await lab.jobs.backfill(job);
  await lab.statusWhen(job, (status) => (status.backfill?.delivered ?? 0) > 0);
  await lab.jobs.backfill(job, { action: 'pause' });
  const { backfill } = await lab.statusWhen(job, ({ inFlight, waiting }) => inFlight === 0 && waiting >= 0);
  const paused = backfill?.delivered ?? 0;
  await lab.jobs.edit(job, { backfillPerSecond: null });
  expect((await lab.jobs.status(job)).backfill).toMatchObject({ state: 'paused', delivered: paused });
  await lab.jobs.backfill(job, { action: 'resume' });
  await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');

  await lab.jobs.edit(job, { backfillPerSecond: 1 });
  await lab.jobs.backfill(job);
  await lab.statusWhen(job, (status) => (status.backfill?.taken ?? 0) === 1000 && status.backfill?.n === 2);
  await lab.jobs.backfill(job, { action: 'cancel' });
  const cancelled = await lab.statusWhen(job, ({ waiting, inFlight }) => waiting + inFlight === 0);
  expect(cancelled.backfill).toMatchObject({ n: 2, state: 'cancelled' });
  await expect(lab.jobs.backfill(job, { action: 'resume' })).rejects.toThrow(/No backfill is running/);
  await expect(lab.jobs.backfill(job, { sample: 0 })).rejects.toThrow(/sample: This must be/);
});
