import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { httpSource, WorkerProcesses } from '../support/worker-processes.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
const MEMBERS = ['one', 'two', 'three'];

let workers: WorkerProcesses;
beforeAll(async () => {
  workers = await WorkerProcesses.open('backfill-killed');
});
afterAll(async () => {
  await workers.close();
});

test('a page that a killed worker was reading is read by another within half a minute', async () => {
  let asksForPage = 0;
  const { url } = await startJsonServer(({ url }) => {
    if (url.pathname === '/audiences') return { json: [AUDIENCE] };
    if (url.pathname.startsWith('/people/')) return { json: {} };
    return ++asksForPage === 1 ? { hangs: true } : { json: MEMBERS };
  });
  const { jobs, receiver } = workers;
  const config = { source: { ...httpSource(url), timeoutMs: 15_000 } };
  const first = await workers.start(config);
  await jobs.start(
    {
      label: 'K',
      audiences: [AUDIENCE.slug],
      webhookUrl: receiver.url,
      authorization: null,
      existingUsers: true,
    },
    { jobId: `killed-${randomUUID()}` },
  );
  await until(() => asksForPage === 1);
  await first.kill();
  const killedAt = performance.now();
  await workers.start(config);
  await until(() => receiver.ledger.delivered === MEMBERS.length);
  expect(performance.now() - killedAt).toBeLessThan(30_000);
});
