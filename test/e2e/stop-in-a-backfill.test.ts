import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/client/export-jobs.ts';
import { Lab, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const MEMBERS = Array.from({ length: 12_000 }, (_, i) => `member-${String(i).padStart(5, '0')}`);

let lab: Lab;
let operator: Operator;
beforeAll(async () => {
  const profiles = Object.fromEntries(MEMBERS.map((user) => [user, {}]));
  lab = await Lab.open({ content: { audiences: [{ ...VIP, members: MEMBERS }], profiles } });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

/** A job in the middle of its existing users, slowly. */
async function inItsExistingUsers(): Promise<string> {
  const job = await lab.start({
    audiences: ['vip'],
    existingUsers: true,
    parallelRequestCount: 50,
    backfillPerSecond: 50,
  });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0 && (backfill?.taken ?? 0) > 2000);
  return job;
}

/** Whom a backfill's enters reached; all have its `at`. */
function sentBy({ backfill }: JobStatus): string[] {
  const messages = lab.receiver.ledger.entries.flatMap(({ message }) => message ?? []);
  return messages.filter(({ at }) => at === backfill?.at).map(({ user }) => user);
}

test('stop with keep in the middle of a backfill says what it keeps of it, and resume goes on: nobody twice, nobody missed', async () => {
  const job = await inItsExistingUsers();
  const stop = await operator.run(['stop', job, '--waiting', 'keep']);
  expect(stop.code).toBe(0);
  expect(unwrapped(stop.stdout)).toMatch(
    /[\d,]+ waiting triggers, and [\d,]+ members that backfill 1 has not read yet will be kept/,
  );
  await lab.statusWhen(job, ({ state }) => state === 'stopped');

  const kept = await operator.json<JobStatus>(['status', job]);
  expect(kept).toMatchObject({
    state: 'stopped',
    kept: { backfill: { n: 1, expected: MEMBERS.length, taken: kept.backfill?.taken } },
    backfill: { state: 'kept' },
  });
  expect(unwrapped((await operator.run(['status', job])).stdout)).toMatch(
    /Kept [\d,]+ triggers and the rest of backfill 1 \([\d,]+ of 12,000 members read\)/,
  );

  await lab.jobs.resume(job);
  await lab.jobs.edit(job, { backfillPerSecond: null });
  const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
  expect(backfill).toMatchObject({ n: 1, taken: MEMBERS.length, delivered: MEMBERS.length, superseded: 0 });
  expect(sentBy(await lab.jobs.status(job)).sort()).toEqual(MEMBERS);
});

test('a plain stop during existing users says how many are still to be read, and sends all of them before it ends', async () => {
  const job = await inItsExistingUsers();
  await lab.jobs.edit(job, { backfillPerSecond: null });
  const stop = await operator.run(['stop', job]);
  expect(stop.code).toBe(0);
  expect(unwrapped(stop.stdout)).toMatch(/will be sent first|nothing is waiting/);
  await lab.handle(job).result();
  expect((await lab.jobs.status(job)).kept).toBeUndefined();
  expect(sentBy(await lab.jobs.status(job)).sort()).toEqual(MEMBERS);
});

test('cancelled in the Temporal UI, a job keeps the rest of its backfill, too', async () => {
  const job = await inItsExistingUsers();
  await lab.handle(job).cancel();
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  expect((await lab.jobs.status(job)).kept).toMatchObject({ backfill: { n: 1, expected: MEMBERS.length } });
  const { code, stdout } = await operator.run(['stop', job, '--waiting', 'discard', '--yes']);
  expect({ code, said: unwrapped(stdout) }).toEqual({ code: 0, said: expect.stringContaining('has been discarded') });
  expect((await lab.jobs.status(job)).kept).toBeUndefined();
});
