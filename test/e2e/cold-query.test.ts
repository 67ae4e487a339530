import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { replay } from '../support/replay.ts';
import { httpSource, WorkerProcesses } from '../support/worker-processes.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
const AT_ONCE = 20;

let requests = 0;
const workers = await WorkerProcesses.open('cold-query', {
  answer: () => (requests++ === 0 ? { status: 503 } : undefined),
});
afterAll(() => workers.close());

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
