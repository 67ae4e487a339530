import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Attempt, EventTrigger, TraceEvent } from '../../src/client/export-jobs.ts';
import type { LocalTemporal } from '../../src/local/temporal-server.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { startTightServer } from '../support/tight-server.ts';

const SERVER_LIMITS = { signalsPerRun: 50, eventsPerRun: 400, payloadBytes: 128 * 1024 };
let server: LocalTemporal;
let lab: Lab;

/** A server whose limits are so tight that a job continues as new all the time, and keeps little in its own state. */
beforeAll(async () => {
  server = await startTightServer(SERVER_LIMITS, { 'limit.historyCount.suggestContinueAsNew': 100 });
  lab = await Lab.open({
    address: server.address,
    config: { serverLimits: SERVER_LIMITS },
    content: {
      audiences: [
        { ...VIP, members: [] },
        { ...NEWS, members: [] },
      ],
    },
    receiver: { answer: ({ message }) => (message?.user.startsWith('bad') ? { status: 422 } : undefined) },
  });
});
afterAll(async () => {
  await lab.close();
  await server.stop();
});

function enters(count: number, user: (i: number) => string): EventTrigger[] {
  return Array.from({ length: count }, (_, i) => ({
    event: i % 2 === 0 ? 'enter' : 'exit',
    audience: 'vip',
    user: user(i),
    at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
    profile: {},
  }));
}

async function traced(user: string, jobId: string): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for await (const event of lab.jobs.trace(user, { jobId })) events.push(event);
  return events;
}

const kinds = (events: readonly TraceEvent[]) => events.map(({ kind }) => kind);

test('a person is followed through continue-as-new, into a holder, and through a stop that kept what waits', async () => {
  const job = await lab.start({ parallelRequestCount: 20 });
  const [once, again, last] = enters(3, () => 'deep');
  // One signal each, so that run follows run.
  await lab.jobs.push(job, [once as EventTrigger]);
  for (const trigger of enters(100, (i) => `p${i % 30}`)) await lab.jobs.push(job, [trigger]);
  await lab.jobs.pause(job);
  await lab.jobs.push(
    job,
    enters(1_000, (i) => `q${i}`),
  );
  await lab.jobs.push(job, [again as EventTrigger]);
  await lab.jobs.push(
    job,
    enters(1_000, (i) => `r${i}`),
  );
  await lab.jobs.push(job, [last as EventTrigger]);
  await lab.statusWhen(job, ({ received }) => received === 2_103);

  const waits = await traced('deep', job);
  expect(kinds(waits)).toEqual(['received', 'attempted', 'received', 'received', 'stands']);
  expect(new Set(waits.flatMap((event) => ('runId' in event ? [event.runId] : []))).size).toBeGreaterThan(1);
  expect(waits.at(-1)).toMatchObject({
    standing: {
      state: 'paused',
      waitingCount: 2,
      waiting: [{ event: 'exit', holder: expect.stringMatching(/^\d+$/) }, { event: 'enter' }],
    },
  });

  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.handle(job).result();
  expect((await traced('deep', job)).at(-1)).toMatchObject({ standing: { state: 'stopped', waitingCount: 2 } });

  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  const sent = await traced('deep', job);
  expect(kinds(sent).filter((kind) => kind === 'received')).toHaveLength(3);
  expect(
    sent.flatMap((event) => (event.kind === 'attempted' && event.outcome === 'delivered' ? [event.triggerAt] : [])),
  ).toEqual([once, again, last].map((trigger) => trigger?.at));
  expect(sent.at(-1)).toMatchObject({ standing: { waitingCount: 0 } });
});

test('the last attempts are those of the runs before, too, as many as are asked for, and of these those that failed', async () => {
  const job = await lab.start();
  const users = ['well', ...Array.from({ length: 60 }, (_, i) => (i % 20 === 7 ? `bad${i}` : `p${i}`))];
  for (const user of users) {
    await lab.jobs.push(
      job,
      enters(1, () => user),
    );
    await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  }
  const attempts = async (options: Parameters<typeof lab.jobs.attempts>[1]) => {
    const told: Attempt[] = [];
    for await (const attempt of lab.jobs.attempts(job, options)) told.push(attempt);
    return told;
  };
  const all = await attempts({ last: 1000 });
  expect(all.map(({ user }) => user)).toEqual(users);
  expect(new Set(all.map(({ runId }) => runId)).size).toBeGreaterThan(1);
  expect((await attempts({})).map(({ user }) => user)).toEqual(users.slice(-20));
  expect(await attempts({ failed: true, last: 2 })).toMatchObject([
    { user: 'bad27', outcome: 'failed', status: 422, verdict: 'refused' },
    { user: 'bad47', outcome: 'failed' },
  ]);
});

test('followed, the attempts go on as slices end, from run to run, until it is aborted', async () => {
  const job = await lab.start();
  await lab.jobs.push(
    job,
    enters(1, () => 'before'),
  );
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const stop = new AbortController();
  const told: Attempt[] = [];
  const following = (async () => {
    for await (const attempt of lab.jobs.attempts(job, { follow: stop.signal, last: 1 })) told.push(attempt);
  })();
  while (told.length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  const users = Array.from({ length: 60 }, (_, i) => `p${i}`);
  for (const user of users)
    await lab.jobs.push(
      job,
      enters(1, () => user),
    );
  while (told.length < 61) await new Promise((resolve) => setTimeout(resolve, 20));
  stop.abort();
  await following;
  expect(told[0]).toMatchObject({ user: 'before' });
  expect(new Set(told.map(({ user }) => user))).toEqual(new Set(['before', ...users]));
  expect(told).toHaveLength(61);
  expect(new Set(told.map(({ runId }) => runId)).size).toBeGreaterThan(1);
});
