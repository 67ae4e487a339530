import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { replay } from '../support/replay.ts';
import { httpSource, WorkerProcesses } from '../support/worker-processes.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
const AT_ONCE = 20;
const ASK_MS = 30_000;

let requests = 0;
const workers = await WorkerProcesses.open('cold-query', {
  answer: () => (requests++ === 0 ? { status: 503 } : undefined),
});
let laterRequests = 0;
const later = await WorkerProcesses.open('cold-query-later', {
  // The endpoint is known to accept: the job sends to several people at once.
  answer: () => ([1, 2].includes(laterRequests++) ? { status: 503 } : undefined),
});
afterAll(() => Promise.all([workers.close(), later.close()]));

test('a job that is asked for its status while no worker has it decides as before: its history replays', async () => {
  const { url } = await startJsonServer(({ url }) => ({ json: url.pathname === '/audiences' ? [AUDIENCE] : [] }));
  const { jobs, receiver, client } = workers;
  const config = { source: httpSource(url) };
  const first = await workers.start(config);
  const definition = { label: 'C', audiences: [AUDIENCE.slug], webhookUrl: receiver.url, authorization: null };
  const { jobId } = await jobs.start(definition, { jobId: `cold-${randomUUID()}` });
  const handle = client.workflow.getHandle(jobWorkflowId(jobId));
  await jobs.enter(jobId, { audience: AUDIENCE.slug, user: 'ada', profile: {} });
  await until(async () => (await jobs.status(jobId)).delayed === 1);
  await first.kill();
  const isDelivered = () => receiver.ledger.delivered === 1;
  // Some get no answer: the worker that forgets the run drops them.
  const ask = async () => {
    while (!isDelivered()) await handle.query('status').catch(() => undefined);
  };
  for (let n = 0; n < AT_ONCE; n++) void ask();
  await workers.start(config);
  await until(isDelivered);
  await expect(replay(await handle.fetchHistory(), jobWorkflowId(jobId))).resolves.toBeUndefined();
});

test('a job that is asked while a dead worker has its task decides by the next task: its history replays', async () => {
  const { url } = await startJsonServer(({ url }) => ({ json: url.pathname === '/audiences' ? [AUDIENCE] : [] }));
  const { jobs, receiver, client } = later;
  const config = { source: httpSource(url) };
  const programs = [await later.start(config), await later.start(config)];
  const definition = { label: 'C', audiences: [AUDIENCE.slug], webhookUrl: receiver.url, authorization: null };
  const { jobId } = await jobs.start(definition, { jobId: `cold-${randomUUID()}` });
  const handle = client.workflow.getHandle(jobWorkflowId(jobId));
  const events = async () => (await handle.fetchHistory()).events ?? [];
  const enter = (user: string) => jobs.enter(jobId, { audience: AUDIENCE.slug, user, profile: {} });
  await enter('carl');
  await until(() => receiver.ledger.delivered === 1);
  // They are due at different times, but both before the dead worker's task is over.
  for (const [index, user] of ['ada', 'bob'].entries()) {
    await enter(user);
    await until(async () => (await jobs.status(jobId)).delayed === index + 1);
  }
  const worked = (await events()).findLast((event) => event.workflowTaskCompletedEventAttributes != null);
  const identity = worked?.workflowTaskCompletedEventAttributes?.identity ?? '';
  const busy = programs.find(({ pid }) => identity.startsWith(`${pid}@`));
  busy?.signal('SIGSTOP');
  // Temporal hands it over now, and again to the other worker once this one is dead for a while.
  const asked = client.withDeadline(Date.now() + ASK_MS, () => handle.query('status')).catch(() => undefined);
  await until(async () => (await events()).at(-1)?.workflowTaskStartedEventAttributes != null);
  await busy?.kill();
  await asked;
  await until(() => receiver.ledger.delivered === 3);
  await expect(replay(await handle.fetchHistory(), jobWorkflowId(jobId))).resolves.toBeUndefined();
});
