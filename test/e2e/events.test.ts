import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { InvalidJob, RequestRefused } from '../../src/client/export-jobs.ts';
import { Lab, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const MEMBERS = Array.from({ length: 200 }, (_, i) => `member-${i}`);

let lab: Lab;
let operator: Operator;
beforeAll(async () => {
  const profiles = Object.fromEntries(MEMBERS.map((user) => [user, {}]));
  lab = await Lab.open({ content: { audiences: [{ ...VIP, members: MEMBERS }], profiles } });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

test('a job that leaves enters out takes no backfill, and one with a backfill under way cannot be made such a job', async () => {
  const job = await lab.start({ audiences: ['vip'], existingUsers: true, backfillPerSecond: 1 });
  await lab.statusWhen(job, ({ backfill }) => (backfill?.delivered ?? 0) > 0);
  const withoutEnters = lab.jobs.edit(job, { events: ['exit'] });
  await expect(withoutEnters).rejects.toThrow(InvalidJob);
  await expect(withoutEnters).rejects.toThrow(/events: Backfill 1 sends enters and is not over\./);
  expect((await lab.jobs.status(job)).events).toBeNull();

  await lab.jobs.backfill(job, { action: 'cancel' });
  // That the job was started with its existing users does not stand in the way.
  const { status, changes } = await lab.jobs.edit(job, { events: ['exit'] });
  expect(status.events).toEqual(['exit']);
  expect(changes).toEqual([{ field: 'events', from: null, to: ['exit'] }]);
  const backfill = lab.jobs.backfill(job);
  await expect(backfill).rejects.toThrow(RequestRefused);
  await expect(backfill).rejects.toThrow(/A backfill sends enters, and this job leaves them out/);

  await lab.jobs.enter(job, { audience: 'vip', user: 'left-out', profile: {} });
  await lab.jobs.exit(job, { audience: 'vip', user: 'told', profile: {} });
  await lab.arrives('told');
  expect(await lab.jobs.status(job)).toMatchObject({ filtered: 1 });
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === 'left-out')).toBe(false);

  await operator.json(['edit', job, '--all-events']);
  await lab.jobs.backfill(job, { sample: 1 });
});

test('a sample is not promised to a job that leaves enters out: nothing is started', async () => {
  const asked = ['--label', 'Exits', '--audience', 'vip', '--url', lab.receiver.url, '--id', 'exits-only'];
  const { code, stdout, stderr } = await operator.run(['start', ...asked, '--event', 'exit', '--sample', '1', '--yes']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(unwrapped(stderr)).toContain('Existing users are sent as enters, and "events" leaves those out.');
  await expect(lab.jobs.status('exits-only')).rejects.toThrow(/There is no job/);
});
