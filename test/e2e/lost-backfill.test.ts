import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const MEMBERS = Array.from({ length: 12_000 }, (_, i) => `member-${String(i).padStart(5, '0')}`);

let lab: Lab;
let operator: Operator;
beforeAll(async () => {
  const content = {
    audiences: [{ ...VIP, members: MEMBERS }],
    profiles: Object.fromEntries(MEMBERS.map((user) => [user, {}])),
  };
  lab = await Lab.open({ content });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

const childOf = (job: string) => lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1));

/** A job whose backfill was lost when it had sent a few of its members. */
async function jobWithLostBackfill(): Promise<string> {
  const job = await lab.start({ audiences: ['vip'], existingUsers: true, backfillPerSecond: 100 });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0 && (backfill?.taken ?? 0) > 2000);
  await childOf(job).terminate('somebody ended it');
  await lab.jobs.edit(job, { backfillPerSecond: null, parallelRequestCount: 50 });
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'lost');
  return job;
}

test('a lost backfill is noticed within moments, asks for a decision, and goes on where it was: nobody twice, nobody missed', async () => {
  const job = await jobWithLostBackfill();
  const status = await operator.run(['status', job]);
  expect(unwrapped(status.stdout)).toMatch(/Backfill 1 was lost after [\d,]+ of 12,?000 members were read/);
  expect(unwrapped(status.stdout)).toContain('Resume it to go on where it was');
  const another = await operator.run(['backfill', job]);
  expect(another.code).toBe(1);
  expect(unwrapped(another.stderr)).toMatch(/was lost.*Resume it.*cancel it/);

  // Those who were read are sent, whatever is decided.
  const lost = await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  expect(lost.backfill?.delivered).toBe(lost.backfill?.taken);
  expect(lost.backfill?.taken).toBeLessThan(MEMBERS.length);

  expect(await operator.run(['backfill', job, '--resume'])).toMatchObject({ code: 0 });
  const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
  expect(backfill).toMatchObject({ n: 1, taken: MEMBERS.length, delivered: MEMBERS.length, superseded: 0 });
  expect(lab.receiver.ledger.summary()).toMatchObject({
    duplicates: 0,
    byAudience: { vip: { enter: MEMBERS.length, exit: 0 } },
  });
});

test('a child of an earlier life that still runs gives way to the one that the job starts', async () => {
  const answer = lab.source.holdBack('members');
  const before = lab.source.calls.members;
  const job = await lab.start({ audiences: ['vip'], existingUsers: true, parallelRequestCount: 50 });
  try {
    await lab.statusWhen(job, () => lab.source.calls.members > before);
    await lab.handle(job).terminate();
    await lab.jobs.start(
      { label: 'Anew', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null, existingUsers: true },
      { jobId: job, discardRecoverable: true },
    );
    await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'running');
  } finally {
    answer();
  }
  const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state !== 'running');
  expect(backfill).toMatchObject({ state: 'finished', delivered: MEMBERS.length });
});
