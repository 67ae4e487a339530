import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { InvalidJob, RequestRefused } from '../../src/app/export-jobs.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, labOfTest, membersOfVip, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const people = (count: number) => Array.from({ length: count }, (_, i) => `member-${String(i).padStart(5, '0')}`);

test('Existing Users: a job sends every current member as an enter, once, and reports it', async () => {
  const members = people(3500);
  const lab = await labOfTest({ content: membersOfVip(members) });
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 20 });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === 3500);
  const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
  expect(backfill).toMatchObject({
    n: 1,
    taken: 3500,
    delivered: 3500,
    superseded: 0,
    waiting: 0,
    audiences: ['vip', 'news'],
  });
  expect(lab.receiver.ledger.summary()).toMatchObject({
    duplicates: 0,
    byAudience: { vip: { enter: 3500, exit: 0 } },
  });
  const ats = new Set(lab.receiver.ledger.entries.map(({ message }) => message?.at));
  expect(ats.size).toBe(1);
});

test('no stale enter: nobody who leaves while the backfill waits is reported as a member after that', async () => {
  const members = people(1200);
  let haveLeft = false;
  const lab: Lab = await labOfTest({
    content: membersOfVip(members),
    receiver: { answer: () => ({ status: 200, delayMs: haveLeft || lab.receiver.ledger.delivered < 50 ? 2 : 200 }) },
  });
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 2 });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 50);
  const leavers = members.slice(400, 1200);
  for (const user of leavers) lab.source.exit('vip', user);
  await lab.jobs.push(
    job,
    leavers.map((user) => ({ audience: 'vip', user, event: 'exit' as const, profile: {} })),
  );
  await lab.statusWhen(job, ({ received }) => received === leavers.length);
  haveLeft = true;
  await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state === 'finished');
  const last = new Map<string, string>();
  for (const { message } of lab.receiver.ledger.entries)
    if (message !== undefined) last.set(message.user, message.event);
  expect(leavers.filter((user) => last.get(user) !== 'exit')).toEqual([]);
  expect((await lab.jobs.status(job)).backfill?.superseded).toBeGreaterThan(0);
});

test('a backfill that asks twice with one request id runs once; again with another, it runs again', async () => {
  const lab = await labOfTest({ content: membersOfVip(people(10)) });
  const job = await lab.start();
  await lab.jobs.backfill(job, { requestId: 'one' });
  expect((await lab.jobs.backfill(job, { requestId: 'one' })).backfill?.n).toBe(1);
  await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect((await lab.jobs.backfill(job, { requestId: 'two', audiences: ['vip'] })).backfill?.n).toBe(2);
  await lab.statusWhen(job, ({ backfill }) => backfill?.n === 2 && backfill.state === 'finished');
  const again = await lab.jobs.backfill(job, { requestId: 'one' });
  expect(again).toMatchObject({ backfill: { n: 2 }, askedBefore: { n: 1, state: 'finished' } });
  expect(lab.receiver.ledger.delivered).toBe(20);
  for (const other of [{ audiences: ['vip'] }, { sample: 1 }])
    await expect(lab.jobs.backfill(job, { requestId: 'one', ...other })).rejects.toMatchObject({
      name: 'RequestRefused',
      message: expect.stringContaining('Backfill 1 was asked for under this request id with other audiences'),
    });
  // The same audience, by its id.
  const byId = await lab.jobs.backfill(job, { requestId: 'two', audiences: [VIP.id] });
  expect(byId).toMatchObject({ askedBefore: { n: 2 } });
  expect(lab.receiver.ledger.delivered).toBe(20);
  await expect(lab.jobs.backfill(job, { requestId: 'x'.repeat(256) })).rejects.toThrow(/1 to 255 characters/);
  await expect(lab.jobs.backfill(job, { audiences: ['nonsense'] })).rejects.toThrow(/vip, news/);
});

test('asked for again after it was cancelled, a backfill is not said to have been requested: it starts nothing', async () => {
  const lab = await labOfTest({ content: membersOfVip(people(4000)), receiver: { delayMs: 20 } });
  const job = await lab.start({ parallelRequestCount: 1 });
  await lab.jobs.backfill(job, { requestId: 'one' });
  await lab.jobs.backfill(job, { action: 'cancel' });
  await expect(lab.jobs.backfill(job, { requestId: 'one' })).rejects.toThrow(
    /Backfill 1, which was asked for under this request id, was cancelled\./,
  );
  expect((await lab.jobs.status(job)).backfill).toMatchObject({ n: 1, state: 'cancelled' });
  await lab.jobs.stop(job, { waiting: 'discard' });
});

test('a stopped job ends its backfill', async () => {
  // So many that it cannot have read them all when the job is stopped.
  const lab = await labOfTest({ content: membersOfVip(people(12_000)), receiver: { delayMs: 20 } });
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 1 });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered > 10);
  await lab.jobs.stop(job, { waiting: 'discard' });
  await lab.handle(job).result();
  const child = lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1));
  await expect(child.result()).rejects.toThrow();
  expect((await child.describe()).status.name).toBe('CANCELLED');
});

describe('held back by a person', () => {
  const MEMBERS = Array.from({ length: 1000 }, (_, index) => `member-${String(index).padStart(4, '0')}`);

  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.open({
      content: membersOfVip(MEMBERS),
    });
  });
  afterAll(async () => lab.close());

  const delivered = (): number => lab.receiver.ledger.delivered;

  test('a sample goes first, and the rest once a person resumes it; live triggers do not wait', async () => {
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
});

describe('and the events that a job leaves out', () => {
  const MEMBERS = Array.from({ length: 200 }, (_, i) => `member-${i}`);

  let lab: Lab;
  let operator: Operator;
  beforeAll(async () => {
    lab = await Lab.open({ content: membersOfVip(MEMBERS) });
    operator = new Operator(lab.taskQueue);
  });
  afterAll(async () => lab.close());

  test('a job without enters takes no backfill, and a running backfill blocks leaving out enters', async () => {
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
    const { code, stdout, stderr } = await operator.run([
      'start',
      ...asked,
      '--event',
      'exit',
      '--sample',
      '1',
      '--yes',
    ]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(unwrapped(stderr)).toContain('Existing users are sent as enters, and "events" leaves those out.');
    await expect(lab.jobs.status('exits-only')).rejects.toThrow(/There is no job/);
  });
});
