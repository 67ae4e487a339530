import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { EditedJob } from '../../src/client/export-jobs.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const MEMBERS = Array.from({ length: 6_000 }, (_, i) => `member-${String(i).padStart(5, '0')}`);

let lab: Lab;
let operator: Operator;
beforeAll(async () => {
  const audiences = [
    { ...VIP, members: MEMBERS },
    { ...NEWS, members: ['reader'] },
  ];
  const profiles = Object.fromEntries([...MEMBERS, 'reader'].map((user) => [user, {}]));
  lab = await Lab.open({ content: { audiences, profiles } });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

test('an edit that takes an audience out of a running backfill says so before it is done, and the status says afterwards who is missing', async () => {
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 20, backfillPerSecond: 50 });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0);

  const loss = /Backfill 1, which has sent [\d,]+ of 6001, leaves out whoever it has not yet begun to send in vip\./;
  const unasked = await operator.run(['edit', job, '--audience', 'news', '--json']);
  expect({ ...unasked, stderr: unwrapped(unasked.stderr) }).toEqual({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(loss),
  });
  expect(unwrapped(unasked.stderr)).toContain('Nothing was done.');
  expect(await lab.jobs.edit(job, { audiences: ['news'] }, { isMeant: () => Promise.resolve(false) })).toBeUndefined();
  expect(await lab.jobs.status(job)).toMatchObject({ revision: 1, backfill: { state: 'running' } });
  // By its id, or with others beside it, nobody is left out.
  expect((await lab.jobs.edit(job, { audiences: [NEWS.id, VIP.id] })).warnings).toEqual([]);

  const edited = await operator.json<EditedJob>(['edit', job, '--audience', 'news', '--yes']);
  expect(edited.warnings).toContainEqual(expect.stringMatching(loss));
  await lab.jobs.edit(job, { audiences: ['vip', 'news'], backfillPerSecond: null });
  const { backfill } = await lab.statusWhen(job, (now) => now.backfill?.state === 'finished');
  const members = backfill?.leftOut?.[0]?.members ?? 0;
  expect(members).toBeGreaterThan(0);
  expect(backfill).toMatchObject({
    taken: 6001,
    superseded: 0,
    delivered: 6001 - members,
    leftOut: [{ audience: 'vip', members }],
    notice: expect.stringContaining('start a backfill of vip'),
  });
  const { stdout } = await operator.run(['status', job]);
  expect(unwrapped(stdout)).toContain('left out (vip was removed)');
});
