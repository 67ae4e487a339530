import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, type Connection } from '@temporalio/client';
import { connect } from '../support/connection.ts';
import { jobRuns } from '../../src/client/jobs/job-list.ts';
import { EXPORT_JOB } from '../../src/domain/names.ts';
import { elementsOf } from '../../demo/recorder.ts';
import { readSigningSecret, signBody } from '../../src/webhook/signature.ts';
import { Lab, labOfFile, labOfTest, NEWS, VIP } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { configured } from '../webhook/an-authorization.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const lab = await labOfFile({
  receiver: { keepBodies: true },
  content: {
    audiences: [
      { ...VIP, members: [], windowMinutes: 15 },
      { ...NEWS, members: [] },
    ],
    profiles: { ada: { name: 'Ada', loyalty: 9007199254740993n, address: { city: 'London', zip: 'N1' } } },
  },
});

async function bodyOf(user: string): Promise<string> {
  await lab.receiver.ledger.waitFor((ledger) => ledger.entries.some(({ message }) => message?.user === user));
  return lab.receiver.ledger.entries.find(({ message }) => message?.user === user)?.body ?? '';
}

test('a live enter arrives in the new format, with the profile from the source and every digit in it', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'ada', at: '2020-10-14T13:27:33.916374949-07:00' });
  const body = await bodyOf('ada');
  const { subscriptionId } = await lab.jobs.status(job);
  expect(body).toContain('"loyalty":9007199254740993');
  expect(JSON.parse(body)).toMatchObject({
    id: 'ada',
    data: {
      name: 'Ada',
      segment_events: [{ id: VIP.id, event: 'enter', slug: 'vip', enter: '2020-10-14T13:27:33.916374949-07:00' }],
    },
    meta: { object: 'user', subscription_id: subscriptionId },
  });
});

test('a live exit arrives in the legacy format, with the profile that was signalled', async () => {
  const job = await lab.start({ userLegacyMessageFormat: true, exportFields: ['address.city'] });
  await lab.jobs.exit(job, {
    audience: NEWS.id,
    user: 'bob',
    profile: { name: 'Bob', address: { city: 'Rome', zip: '1' } },
  });
  expect(JSON.parse(await bodyOf('bob'))).toMatchObject({
    id: 'bob',
    data: {
      _audience: NEWS.id,
      _audience_action: 'exited',
      _audience_friendly: 'news',
      _audience_name: NEWS.name,
      address: { city: 'Rome' },
    },
    table: 'user',
    segment_events: [{ id: NEWS.id, event: 'exit', slug: 'news' }],
  });
});

test('a trigger for somebody whom the source never knew is sent with segment_events alone: an exit at once', async () => {
  const job = await lab.start();
  await lab.jobs.exit(job, { audience: 'vip', user: 'nobody' });
  expect(Object.keys(JSON.parse(await bodyOf('nobody')).data)).toEqual(['segment_events']);
});

test('[S21] with an authorization, requests carry its headers and its signature; neither a start nor an edit takes it elsewhere', async () => {
  const origin = new URL(lab.receiver.url).origin;
  const signing = await labOfTest({
    receiver: { keepBodies: true },
    config: {
      authorizations: configured({
        acme: { origins: [origin], headers: { 'x-api-key': 'k1' }, signingSecrets: [SECRET] },
      }),
    },
  });
  // The receiver of the first lab, which the authorization is bound to.
  const job = await signing.start({ authorization: 'acme', webhookUrl: lab.receiver.url });
  await signing.jobs.enter(job, { audience: 'vip', user: 'signed', profile: {} });
  const body = await bodyOf('signed');
  const arrival = lab.receiver.ledger.entries.find(({ message }) => message?.user === 'signed');
  const headers = arrival?.headers ?? {};
  expect(headers['x-api-key']).toBe('k1');
  const { signature } = signBody(
    [readSigningSecret(SECRET)],
    arrival?.deliveryId ?? '',
    Number(headers['webhook-timestamp']),
    body,
  );
  expect(headers['webhook-signature']).toBe(signature);
  const elsewhere = { webhookUrl: signing.receiver.url };
  await expect(signing.start({ ...elsewhere, authorization: 'acme' })).rejects.toThrow(/may not be sent to/);
  await expect(signing.jobs.edit(job, elsewhere)).rejects.toThrow(/may not be sent to/);
});

describe('in batches', () => {
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

  test('a job in batches sends backfill and live triggers in few requests, and only refused ones become dead letters', async () => {
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
    // In one signal: a batch waits for others no longer than 300 ms.
    await lab.jobs.push(
      job,
      MEMBERS.slice(0, 10).map((user) => ({ event: 'exit', audience: 'vip', user, profile: { user } })),
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
});

describe('at the end of a worker', () => {
  test('a clean shutdown lets requests in flight end; the next worker continues, and nothing is sent twice', async () => {
    const lab = await labOfTest({ workers: 0, receiver: { delayMs: 30 } });
    const first = await lab.addWorker();
    const job = await lab.start({ parallelRequestCount: 5 });
    const triggers = Array.from({ length: 400 }, (_, i) => ({
      audience: 'vip',
      user: `p${i}`,
      event: 'enter' as const,
      at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
      profile: {},
    }));
    await lab.jobs.push(job, triggers);
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 30);
    await lab.shutdown(first);
    expect(lab.receiver.inFlight).toBe(0);
    expect(lab.receiver.ledger.delivered).toBeLessThan(400);
    await lab.addWorker();
    await lab.receiver.ledger.waitFor((ledger) => ledger.delivered >= 400);
    expect(lab.receiver.ledger.summary()).toMatchObject({ requests: 400, duplicates: 0 });
  });
});

describe('in lists', () => {
  let connection: Connection;
  let client: Client;

  beforeAll(async () => {
    connection = await connect(temporal.address);
    client = new Client({ connection, namespace: temporal.namespace });
  });
  afterAll(async () => {
    await connection.close();
  });

  async function listed(taskQueue: string): Promise<string[]> {
    const ids: string[] = [];
    for await (const { workflowId } of jobRuns(client, { areRunning: true, taskQueue })) ids.push(workflowId);
    return ids;
  }

  test.each(['plain', String.raw`the team's \' "quoted" 100 %`])(
    'the runs of one task queue are found, and nobody else’s, whatever its name is: %s',
    async (name) => {
      const workflowId = randomUUID();
      const taskQueue = `${name} ${workflowId}`;
      await client.workflow.start(EXPORT_JOB, { workflowId, taskQueue });
      const other = await client.workflow.start(EXPORT_JOB, { workflowId: randomUUID(), taskQueue: `${taskQueue} 2` });
      await until(async () => (await listed(taskQueue)).length > 0);
      expect(await listed(taskQueue)).toEqual([workflowId]);
      await client.workflow.getHandle(workflowId).terminate();
      await other.terminate();
    },
  );
});
