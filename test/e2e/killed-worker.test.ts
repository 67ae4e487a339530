import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { afterAll, expect, test } from '@jest/globals';
import { sliceEndsWithinMs } from '../../src/domain/job/dispatching.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { httpSource, WorkerProcesses } from '../support/worker-processes.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
/** A run is to end from 25 events on. */
const LIMITS = { eventsPerRun: 5_000 };
/** Between two triggers. */
const PACE_MS = 40;
/** The slice is lost after 10 s without a heartbeat, and the run ends then. Even a busy machine does that long before this is over. */
const REQUEST_TIMEOUT_MS = 40_000;
/** As long as a request of a dead worker may be open, with what a frozen machine may need to notice. */
const OVER_MS = sliceEndsWithinMs(REQUEST_TIMEOUT_MS);

/** When requests about a person came, epoch ms. */
const cameAt = new Map<string, number[]>();

const workers = await WorkerProcesses.open('killed-worker', {
  answer: ({ message }) => {
    const user = message?.user ?? '';
    const times = [...(cameAt.get(user) ?? []), Date.now()];
    cameAt.set(user, times);
    return user === 'in flight' && times.length === 1 ? { status: 200, delayMs: OVER_MS } : undefined;
  },
});
afterAll(() => workers.close());

test('requests of a killed worker keep no run from ending, and their people wait while they may be open', async () => {
  const { url } = await startJsonServer(({ url }) => ({
    json: url.pathname === '/audiences' ? [AUDIENCE] : url.pathname.startsWith('/people/') ? {} : [],
  }));
  const { jobs, receiver, client } = workers;
  const config = { source: httpSource(url), serverLimits: LIMITS, requestTimeoutMs: REQUEST_TIMEOUT_MS };
  const first = await workers.start(config);
  const definition = { label: 'K', audiences: [AUDIENCE.slug], webhookUrl: receiver.url, authorization: null };
  const { jobId, runId } = await jobs.start(definition, { jobId: `killed-${randomUUID()}` });
  const signal = (user: string) => jobs.enter(jobId, { audience: AUDIENCE.slug, user, profile: {} });
  await signal('well');
  await until(() => cameAt.has('well'));
  await signal('in flight');
  await until(() => cameAt.has('in flight'));
  await first.kill();
  await workers.start(config);

  // A pause is not confirmed while nobody knows whether the killed worker begins another request.
  expect(await jobs.pause(jobId)).toMatchObject({ state: 'paused', mayStillSend: true });
  await jobs.resume(jobId);

  let n = 0;
  let nextRunAt = 0;
  while (nextRunAt === 0) {
    await Promise.all([signal(`other-${n++}`), setTimeout(PACE_MS)]);
    const { runId: now } = await client.workflow.getHandle(jobWorkflowId(jobId)).describe();
    if (now !== runId) nextRunAt = Date.now();
  }
  await until(() => (cameAt.get('in flight') ?? []).length === 2);
  const [sentAt = 0, againAt = 0] = cameAt.get('in flight') ?? [];
  // This process may see the first one late.
  expect(againAt - sentAt).toBeGreaterThan(OVER_MS - 5_000);
  expect(againAt - nextRunAt).toBeGreaterThan(0);
  await until(() => cameAt.has(`other-${n - 1}`));
});
