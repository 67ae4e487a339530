import { expect, test } from '@jest/globals';
import { backfillWorkflowId, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';

const people = (count: number) => Array.from({ length: count }, (_, i) => `member-${String(i).padStart(5, '0')}`);

function content(members: string[]) {
  return {
    audiences: [
      { ...VIP, members },
      { ...NEWS, members: [] },
    ],
    profiles: Object.fromEntries(members.map((user) => [user, { user }])),
  };
}

test('Existing Users: everybody who is in is sent as enter, once, and the job says so', async () => {
  const members = people(3500);
  const lab = await Lab.open({ content: content(members) });
  try {
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
  } finally {
    await lab.close();
  }
});

test('live first: a live trigger does not wait for the backfill', async () => {
  const members = people(2000);
  const lab = await Lab.open({ content: content(members), receiver: { delayMs: 10 } });
  try {
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 4 });
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 100);
    const before = lab.receiver.ledger.delivered;
    await lab.jobs.enter(job, { audience: 'news', user: 'live', profile: {} });
    await lab.receiver.ledger.waitFor((ledger) => ledger.entries.some(({ message }) => message?.user === 'live'));
    // 4 in flight of 10 ms are 400 a second; a slice is about a second. Behind the backfill it would be last of 2,000.
    expect(lab.receiver.ledger.delivered - before).toBeLessThan(900);
  } finally {
    await lab.close();
  }
});

test('no stale enter: who leaves while the backfill waits is never told about as in after that', async () => {
  const members = people(1200);
  const lab = await Lab.open({ content: content(members), receiver: { delayMs: 2 } });
  try {
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 2 });
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 50);
    const leavers = members.slice(400, 1200);
    for (const user of leavers) lab.source.exit('vip', user);
    await lab.jobs.push(
      job,
      leavers.map((user) => ({ audience: 'vip', user, event: 'exit' as const, profile: {} })),
    );
    await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state === 'finished');
    const last = new Map<string, string>();
    for (const { message } of lab.receiver.ledger.entries)
      if (message !== undefined) last.set(message.user, message.event);
    expect(leavers.filter((user) => last.get(user) !== 'exit')).toEqual([]);
    expect((await lab.jobs.status(job)).backfill?.superseded).toBeGreaterThan(0);
  } finally {
    await lab.close();
  }
});

test('a backfill that asks twice with one request id runs once; again with another, it runs again', async () => {
  const lab = await Lab.open({ content: content(people(10)) });
  try {
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
  } finally {
    await lab.close();
  }
});

test('asked for again after it was cancelled, a backfill is not said to have been requested: it starts nothing', async () => {
  const lab = await Lab.open({ content: content(people(4000)), receiver: { delayMs: 20 } });
  try {
    const job = await lab.start({ parallelRequestCount: 1 });
    await lab.jobs.backfill(job, { requestId: 'one' });
    await lab.jobs.backfill(job, { action: 'cancel' });
    await expect(lab.jobs.backfill(job, { requestId: 'one' })).rejects.toThrow(
      /Backfill 1, which was asked for under this request id, was cancelled\./,
    );
    expect((await lab.jobs.status(job)).backfill).toMatchObject({ n: 1, state: 'cancelled' });
    await lab.jobs.stop(job, { waiting: 'discard' });
  } finally {
    await lab.close();
  }
});

test('a source that fails is asked again, and a stopped job ends its backfill', async () => {
  // So many that it cannot have read them all when the job is stopped.
  const lab = await Lab.open({ content: content(people(12_000)), receiver: { delayMs: 20 } });
  try {
    const job = await lab.start({ existingUsers: true, parallelRequestCount: 1 });
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered > 0);
    lab.source.failure = new Error('the source is down');
    await lab.statusWhen(
      job,
      ({ lastFailure, backfill }) => lastFailure?.code === 'SOURCE_UNAVAILABLE' || backfill?.taken === 0,
    );
    lab.source.failure = undefined;
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered > 10);
    await lab.jobs.stop(job, { waiting: 'discard' });
    await lab.handle(job).result();
    const child = lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1));
    await expect(child.result()).rejects.toThrow();
    expect((await child.describe()).status.name).toBe('CANCELLED');
  } finally {
    await lab.close();
  }
});
