import type { JobFact } from '../../src/client/calls/job-fact.ts';
import { expect, test } from '@jest/globals';
import type { Attempt, EventTrigger, TraceEvent } from '../../src/app/export-jobs.ts';
import { runsOf } from '../../src/client/jobs/attempts.ts';
import { runFacts } from '../../src/client/calls/events.ts';
import { inTimeOrder } from '../../src/features/trace/trace.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { PersonTrace, type Traced } from '../../src/features/trace/person-trace.ts';
import { labOfFile, membersOfVip } from '../support/lab.ts';
import { startTightServer } from '../support/tight-server.ts';
import { afterFile } from '../webhook/a-server.ts';

// A trace parses only what may name its person, so it must say what one that parses everything says.

const SERVER_LIMITS = { signalsPerRun: 50, eventsPerRun: 400, payloadBytes: 128 * 1024 };
const MEMBERS = Array.from({ length: 60 }, (_, i) => `m${i}`);
/** Left to fail, by person. */
const failing = new Map<string, number>();
/** The runs whose histories were read whole. */
const read = new Set<string>();

const server = await startTightServer(SERVER_LIMITS, { 'limit.historyCount.suggestContinueAsNew': 100 });
afterFile(() => server.stop());
const lab = await labOfFile({
  address: server.address,
  config: { requestTimeoutMs: 1000, serverLimits: SERVER_LIMITS },
  content: membersOfVip(MEMBERS),
  receiver: {
    answer: ({ message }) => {
      const user = message?.user ?? '';
      if (user.startsWith('refused')) return { status: 422 };
      const left = failing.get(user) ?? 0;
      failing.set(user, left - 1);
      return left > 0 ? { status: 503 } : undefined;
    },
  },
});
const { workflowService } = lab.client;
const reading = workflowService.getWorkflowExecutionHistory.bind(workflowService);
workflowService.getWorkflowExecutionHistory = (async (request: Parameters<typeof reading>[0]) => {
  if (request.maximumPageSize !== 1) read.add(request.execution?.runId ?? '');
  return await reading(request);
}) as typeof reading;

const enter = (user: string) => ({ event: 'enter' as const, audience: 'news', user, profile: {} });

/** One signal each, so that run follows run. */
async function passBy(job: string, prefix: string, count = 30): Promise<void> {
  for (let i = 0; i < count; i++) await lab.jobs.push(job, [enter(`${prefix}${i % 20}`)]);
}

async function untilSent(job: string): Promise<void> {
  await lab.statusWhen(job, ({ waiting, delayed, backfill }) => {
    return waiting === 0 && delayed === 0 && (backfill === undefined || backfill.state === 'finished');
  });
}

/** A job to which everything happens that histories can tell of people. */
async function eventfulJob(): Promise<string> {
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 5 });
  await untilSent(job);
  failing.set('flaky', 2);
  await lab.jobs.push(job, [enter('flaky'), enter('refused'), { event: 'exit', audience: 'vip', user: 'm7' }]);
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  await passBy(job, 'a');
  // A run of this server takes 50 signals; `push` waits for the next one, and a plain signal does not.
  await untilSent(job);
  await lab.handle(job).signal('enter', { audience: 'nobody', user: 'odd' });
  await lab.handle(job).signal('enter', { audience: 7, user: 'odder' });
  await lab.handle(job).signal('enter', 'garbage');
  await lab.jobs.edit(job, { audiences: ['news'], label: 'Edited' });
  await passBy(job, 'b');
  // Nor does a dead letter.
  await untilSent(job);
  for await (const letter of lab.jobs.deadLetters.waiting({ jobId: job }))
    await lab.jobs.deadLetters.redeliver(letter.id, { force: true });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 2);
  await lab.jobs.pause(job);
  const crowd = Array.from({ length: 1_500 }, (_, i) => enter(`q${i}`));
  await lab.jobs.push(job, crowd);
  await lab.statusWhen(job, ({ overflow }) => overflow > 0);
  await passBy(job, 'c');
  await lab.jobs.resume(job);
  await untilSent(job);
  await lab.jobs.push(job, [enter('last')]);
  await lab.handle(job).terminate('a test');
  await lab.jobs.recover(job);
  await untilSent(job);
  await passBy(job, 'd');
  await untilSent(job);
  await lab.resetToLastTask(jobWorkflowId(job));
  await untilSent(job);
  await passBy(job, 'e');
  await untilSent(job);
  return job;
}

async function allFacts(job: string): Promise<JobFact[]> {
  const facts: JobFact[] = [];
  for (const { runId } of await runsOf(lab.client, job))
    for await (const fact of runFacts(lab.client, jobWorkflowId(job), runId)) facts.push(fact);
  return facts;
}

async function saidByAll(job: string, user: string, facts: readonly JobFact[]): Promise<Traced[]> {
  const person = new PersonTrace(job, user);
  async function* events() {
    for (const fact of facts) yield* await Promise.resolve(person.take(fact));
  }
  const all: Traced[] = [];
  for await (const event of inTimeOrder(events(), ({ at }) => at)) all.push(event);
  return all;
}

/** Without what is asked for separately. */
function fromHistories(events: readonly TraceEvent[]): unknown[] {
  const told = events.filter(({ kind }) => kind !== 'stands' && kind !== 'left-out');
  return told.map((event) => {
    if (event.kind !== 'died') return event;
    const { state: _, notice: _notice, ...died } = event;
    return died;
  });
}

async function traced(user: string, job: string): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for await (const event of lab.jobs.trace(user, { jobId: job })) events.push(event);
  return events;
}

test('a trace tells the same as all runs, whatever happened to a job, and finds all failures in few runs', async () => {
  const job = await eventfulJob();
  const facts = await allFacts(job);
  const runs = await runsOf(lab.client, job);
  expect(runs.length).toBeGreaterThan(8);
  const people = ['flaky', 'refused', 'odd', 'odder', 'last', 'm7', 'm31', 'q0', 'q700', 'q1499'];
  const passersBy = ['a0', 'b13', 'd0', 'e13'];
  for (const user of [...people, ...passersBy]) {
    const said = await saidByAll(job, user, facts);
    expect([user, said.length > 0]).toEqual([user, true]);
    expect([user, fromHistories(await traced(user, job))]).toEqual([user, said]);
  }

  const stranger = await traced('stranger', job);
  expect(stranger.map(({ kind }) => kind)).toEqual(['stands']);

  const attempts = async (failed: boolean): Promise<Attempt[]> => {
    read.clear();
    const told: Attempt[] = [];
    for await (const attempt of lab.jobs.attempts(job, { failed, last: 100_000 })) told.push(attempt);
    return told;
  };
  const all = await attempts(false);
  // Another run may have begun since.
  expect([...read]).toEqual(expect.arrayContaining(runs.map(({ runId }) => runId)));
  const failed = all.filter(({ outcome }) => outcome === 'failed' || outcome === 'unknown');
  expect(failed).toHaveLength(4);
  expect(await attempts(true)).toEqual(failed);
  // Those with a failure, the newest, and those that handed nothing on: the terminated one and the one that was reset.
  const withFailures = new Set(failed.map(({ runId }) => runId));
  expect(read.size).toBeLessThanOrEqual(withFailures.size + 3);
  expect(read.size).toBeLessThan(runs.length);
  const newest: Attempt[] = [];
  for await (const attempt of lab.jobs.attempts(job)) newest.push(attempt);
  expect(newest).toEqual(all.slice(-20));
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
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
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
