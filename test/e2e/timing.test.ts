import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connectClient, type ConnectedClient } from '../../src/client/calls/connect.ts';
import { admit } from '../../src/domain/job/arriving.ts';
import { beginJob, carryJob } from '../../src/domain/job/carrying.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { jobRecord } from '../domain/job/a-record.ts';
import { labOfFile, labOfTest, membersOfVip } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { Way } from '../support/way.ts';

const lab = await labOfFile({ content: membersOfVip(['member']) });

test('a job stops by itself at its end, after what waited was sent', async () => {
  const endsAt = new Date(Date.now() + 15_000).toISOString();
  const job = await lab.start({ endsAt });
  await lab.jobs.enter(job, { audience: 'vip', user: 'in time', profile: {} });
  const status = await lab.statusWhen(job, ({ state }) => state === 'stopped');
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(endsAt));
  expect(status).toMatchObject({ delivered: 1, waiting: 0, endsAt: null });
  expect(lab.receiver.ledger.requests).toBe(1);
});

/** Quiet hours from an hour ago on, by the clocks of UTC. */
function quietNow() {
  const clock = (inMs: number) => new Date(Date.now() + inMs).toISOString().slice(11, 16);
  return { from: clock(-3_600_000), to: clock(2 * 3_600_000), timeZone: 'UTC' };
}

test('in quiet hours nothing is sent until they are over, or edited away', async () => {
  const before = lab.receiver.ledger.requests;
  const job = await lab.start({ quietHours: quietNow(), existingUsers: true });
  await lab.jobs.enter(job, { audience: 'vip', user: 'at night', profile: {} });
  const status = await lab.statusWhen(job, ({ waiting }) => waiting === 2);
  const inMs = Date.parse(status.waits.quiet ?? '') - Date.now();
  expect(inMs).toBeGreaterThan(1.9 * 3_600_000);
  expect(inMs).toBeLessThan(2 * 3_600_000);
  expect(status).toMatchObject({ state: 'running', delivered: 0, quietHours: { meanwhile: 'wait' } });
  await lab.jobs.edit(job, { quietHours: { ...quietNow(), meanwhile: 'drop' } });
  await lab.jobs.exit(job, { audience: 'vip', user: 'at night', profile: {} });
  await lab.statusWhen(job, ({ filtered }) => filtered === 1);
  expect(lab.receiver.ledger.requests).toBe(before);
  await lab.jobs.edit(job, { quietHours: null });
  await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect(lab.receiver.ledger.requests).toBe(before + 2);
  await lab.jobs.stop(job, { waiting: 'discard' });
});

test('a job whose calendar has run out has a worker read it, and goes on', async () => {
  // A minute, twelve hours from now.
  const clock = (inMs: number) => new Date(Date.now() + inMs).toISOString().slice(11, 16);
  const from = clock(12 * 3_600_000);
  const to = clock(12 * 3_600_000 + 60_000);
  const quietHours = { from, to, timeZone: 'UTC', meanwhile: 'wait' as const };
  const record = jobRecord(1);
  const webhookUrl = lab.receiver.url;
  const state = beginJob({ ...record, definition: { ...record.definition, webhookUrl, quietHours } }, 7);
  admit(state, { user: 'waiting', audience: 'a', profile: {} }, 'enter', Date.now());
  const jobId = `lab-${randomUUID()}`;
  await lab.client.workflow.start('exportJob', {
    workflowId: jobWorkflowId(jobId),
    taskQueue: lab.taskQueue,
    args: [carryJob(state)],
  });
  await lab.statusWhen(jobId, ({ delivered }) => delivered === 1);
  await lab.jobs.stop(jobId, { waiting: 'discard' });
});

test('no more people are sent than the quota allows; the rest waits, until it is raised', async () => {
  const before = lab.receiver.ledger.requests;
  const job = await lab.start({ quota: { people: 3, per: 'week', timeZone: 'Europe/Berlin' } });
  const users = Array.from({ length: 8 }, (_, index) => `counted-${index}`);
  for (const user of users) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  const {
    waits: { quota: quotaUntil = '' },
  } = await lab.statusWhen(job, ({ delivered }) => delivered === 3);
  // A Monday, at midnight there.
  const local = new Date(quotaUntil).toLocaleString('en-GB', {
    timeZone: 'Europe/Berlin',
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
  expect(local).toBe('Mon 00:00');
  await lab.jobs.edit(job, { quota: { people: 5, per: 'week', timeZone: 'Europe/Berlin' } });
  expect(await lab.statusWhen(job, ({ delivered }) => delivered === 5)).toMatchObject({ waiting: 3, quotaUsed: 5 });
  expect(lab.receiver.ledger.requests).toBe(before + 5);
  await lab.jobs.edit(job, { quota: null });
  await lab.statusWhen(job, ({ delivered }) => delivered === 8);
  const sent = new Set(lab.receiver.ledger.entries.slice(before).map(({ message }) => message?.user));
  expect(sent).toEqual(new Set(users));
  await lab.jobs.stop(job, { waiting: 'discard' });
});

describe('a server that was away', () => {
  const way = new Way();
  let connected: ConnectedClient;
  beforeAll(async () => {
    await way.open();
    const connectionOptions = { address: way.address };
    connected = await connectClient({ connectionOptions, namespace: 'default' }, []);
  });
  afterAll(async () => {
    await connected.close();
    await way.close();
  });

  async function isThere(): Promise<boolean> {
    const { client } = connected;
    return await client
      .withDeadline(Date.now() + 300, () => client.workflowService.describeNamespace({ namespace: 'default' }))
      .then(
        () => true,
        () => false,
      );
  }

  test('a client finds a server within seconds when it is back, however long it was away and often asked', async () => {
    await until(isThere);
    await way.close();
    const awayUntil = performance.now() + 25_000;
    while (performance.now() < awayUntil) {
      expect(await isThere()).toBe(false);
      await setTimeout(200);
    }
    await way.open();
    const back = performance.now();
    while (!(await isThere())) await setTimeout(50);
    expect(performance.now() - back).toBeLessThan(10_000);
  });
});

const MEMBERS = Array.from({ length: 4000 }, (_, index) => `member-${String(index).padStart(4, '0')}`);
const WINDOW_MS = 10_000;

/** The most that arrived within ten seconds. */
function mostInWindow(times: readonly number[]): number {
  let [most, first] = [0, 0];
  for (const [index, at] of times.entries()) {
    while ((times[first] ?? at) < at - WINDOW_MS) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

test('the rate of requests is never exceeded, by live triggers and a backfill together on two workers', async () => {
  const lab = await labOfTest({ workers: 2, content: membersOfVip(MEMBERS) });
  const requestsPerSecond = 50;
  const job = await lab.start({ parallelRequestCount: 20, requestsPerSecond, existingUsers: true });
  const wanted = requestsPerSecond * 14;
  const live: Promise<unknown>[] = [];
  const pushing = setInterval(() => {
    for (let i = 0; i < requestsPerSecond / 10; i++)
      live.push(lab.jobs.enter(job, { audience: 'news', user: `live-${live.length}`, profile: {} }));
  }, 250);
  await lab.receiver.ledger.waitFor((ledger) => ledger.requests >= wanted);
  clearInterval(pushing);
  await Promise.all(live);
  await lab.jobs.stop(job, { waiting: 'discard' });
  const times = lab.receiver.ledger.entries.map(({ arrivedAtMs }) => arrivedAtMs);
  // The network and the endpoint may hold some back and bring them together, so a second's worth is allowed; the rest is `spacing.test.ts`.
  expect(mostInWindow(times)).toBeLessThanOrEqual(11 * requestsPerSecond);
  // Unless the machine is busy all the time, the rate is what holds it back.
  expect(mostInWindow(times)).toBeGreaterThan(5 * requestsPerSecond);
  const users = lab.receiver.ledger.entries.map(({ message }) => message?.user ?? '');
  expect(users.some((user) => user.startsWith('live'))).toBe(true);
  expect(users.some((user) => user.startsWith('member'))).toBe(true);
});
