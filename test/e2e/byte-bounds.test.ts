import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { connect } from '../support/connection.ts';
import { missingFrom, unexpectedIn, violationsIn } from '../../demo/expected-triggers.ts';
import type { JobStatus } from '../../src/app/export-jobs.ts';
import type { EventTrigger } from '../../src/contract/trigger.ts';
import { budgetsOf, DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, labOfTest, withRetries } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { startTightServer } from '../support/tight-server.ts';

const TIGHT_LIMITS = { signalsPerRun: 200, eventsPerRun: 1000, payloadBytes: 128 * 1024 };
/** `WorkflowTaskFailedCause`: something came meanwhile (1), or more came than the server buffers (17); it gives the task out again. */
const OVERTAKEN: ReadonlySet<number> = new Set([1, 17]);

const tight = await startTightServer(TIGHT_LIMITS, { 'system.transactionSizeLimit': 2 * TIGHT_LIMITS.payloadBytes });
afterAll(() => tight.stop());

/** Triggers of this many people, each in turn, with a profile of this many bytes. */
function stream(count: number, people: number, profileBytes: number): (EventTrigger & { at: string })[] {
  const profile = { text: 'x'.repeat(profileBytes) };
  return Array.from({ length: count }, (_, i) => ({
    audience: 'vip',
    user: `p${i % people}`,
    event: Math.floor(i / people) % 2 === 0 ? 'enter' : 'exit',
    at: `2026-01-01T00:00:00.${String(i).padStart(9, '0')}Z`,
    profile,
  }));
}

/** Signals as a foreign client might: this many triggers a signal, without checking the job's history. */
async function signalAll(lab: Lab, job: string, triggers: readonly EventTrigger[], each: number): Promise<void> {
  for (let i = 0; i < triggers.length; i += each) await lab.handle(job).signal('triggers', triggers.slice(i, i + each));
}

type HistoryEvent = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

/**
 * Workflow tasks of a job, over all its runs, that failed (other than by being overtaken by a signal). Not those that
 * timed out: a busy machine does that to any task, and one that can never end would keep the triggers from arriving.
 */
async function brokenTasks(address: string, job: string): Promise<HistoryEvent[]> {
  // Signals of 64 KiB make pages of a history larger than a client takes by default.
  const connection = await connect(address, { channelArgs: { 'grpc.max_receive_message_length': 64 * 1024 * 1024 } });
  const { workflow } = new Client({ connection, namespace: temporal.namespace });
  const broken: HistoryEvent[] = [];
  let runId: string | undefined;
  do {
    const { events } = await workflow.getHandle(jobWorkflowId(job), runId).fetchHistory();
    broken.push(...(events ?? []).filter(isBroken));
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId || undefined;
  } while (runId !== undefined);
  await connection.close();
  return broken;
}

/** Something that came while the job decided to continue as new is not broken: it decides once more. */
function isBroken({ workflowTaskFailedEventAttributes: failed }: HistoryEvent) {
  return failed != null && !OVERTAKEN.has(Number(failed.cause));
}

async function expectAllInOrder(
  lab: Lab,
  job: string,
  triggers: readonly (EventTrigger & { at: string })[],
  address = temporal.address,
) {
  await lab.receiver.ledger.waitFor(({ delivered }) => delivered === triggers.length);
  expect(violationsIn(lab.receiver.ledger, triggers)).toEqual([]);
  expect(unexpectedIn(lab.receiver.ledger, triggers)).toEqual([]);
  expect(missingFrom(lab.receiver.ledger, triggers)).toEqual([]);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, overlaps: 0 });
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  expect(await brokenTasks(address, job)).toEqual([]);
}

test.each([
  ['the limits that servers have', DEFAULT_SERVER_LIMITS, () => temporal.address],
  ['tight limits', TIGHT_LIMITS, () => tight.address],
])(
  'the largest triggers, a hundred of them in one activation, are no more than a server with %s takes',
  async (_, serverLimits, addressOf) => {
    const address = addressOf();
    const lab = await labOfTest({ address, config: { serverLimits }, workers: 0 });
    const worker = await lab.addWorker();
    const job = await lab.start({ parallelRequestCount: 16 });
    await lab.shutdown(worker);
    const profileBytes = Math.floor(budgetsOf(serverLimits).triggerBytes * 0.94);
    const triggers = stream(110, 40, profileBytes);
    await signalAll(lab, job, triggers, 1);
    await lab.addWorker();
    await expectAllInOrder(lab, job, triggers, address);
  },
);

test('a worker that was away while 10,000 triggers were signalled takes them up, and all arrive in order', async () => {
  const lab = await labOfTest({ workers: 0 });
  const worker = await lab.addWorker();
  const job = await lab.start({ parallelRequestCount: 20 });
  await lab.shutdown(worker);
  const triggers = stream(10_000, 2_500, 0);
  await signalAll(lab, job, triggers, 500);
  await lab.addWorker();
  await expectAllInOrder(lab, job, triggers);
});

test('7 MB of triggers with profiles for a dead endpoint all arrive in order after an edit of the URL', async () => {
  const lab = await labOfTest({ receiver: { answer: (_, { url }) => (url === '/dead' ? 'reset' : undefined) } });
  const webhookUrl = new URL('/dead', lab.receiver.url).href;
  const job = await lab.start({ parallelRequestCount: 20, webhookUrl });
  const triggers = stream(5_000, 1_250, 1_300);
  await lab.jobs.push(job, triggers);
  await lab.statusWhen(job, ({ received, endpoint }) => received === 5_000 && endpoint?.state === 'unhealthy');
  // A new URL is tried at once; the old one would be asked again after a wait.
  await withRetries(() => lab.jobs.edit(job, { webhookUrl: lab.receiver.url }));
  await expectAllInOrder(lab, job, triggers);
});

test('an idle job costs nothing: all that it waits for is to begin a new run in a day', async () => {
  const lab = await labOfTest();
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'ada', profile: {} });
  await lab.statusWhen(job, ({ delivered, inFlight }) => delivered === 1 && inFlight === 0);
  const { events } = await lab.handle(job).fetchHistory();
  const timers = events?.flatMap(({ timerStartedEventAttributes: timer }) => timer ?? []) ?? [];
  const over = events?.flatMap((one) => one.timerFiredEventAttributes ?? one.timerCanceledEventAttributes ?? []);
  const open = timers.filter(({ timerId }) => !over?.some((one) => one.timerId === timerId));
  expect(open.map(({ startToFireTimeout }) => Math.ceil(Number(startToFireTimeout?.seconds) / 3600))).toEqual([24]);
  const { raw } = await lab.handle(job).describe();
  expect(raw.pendingActivities).toEqual([]);
});

describe('timers', () => {
  /** So small that a run ends after some signals. */
  const SERVER_LIMITS = { payloadBytes: 2 * 1024 * 1024, signalsPerRun: 50, eventsPerRun: 51_200 };

  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open({
      config: { serverLimits: SERVER_LIMITS },
      receiver: { answer: () => ({ status: 429, headers: { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' } }) },
    });
  });
  afterAll(async () => lab.close());

  /** The status after the next answer. */
  async function afterAnother(jobId: string, { lastFailure }: JobStatus): Promise<JobStatus> {
    return lab.statusWhen(
      jobId,
      (status) => status.waits.endpoint !== undefined && status.lastFailure?.at !== lastFailure?.at,
    );
  }

  /** Pauses nothing: the run ends after some signals, and the job goes on. Gives the run that has ended. */
  async function untilNextRun(jobId: string): Promise<string> {
    const handle = lab.handle(jobId);
    const { runId } = await handle.describe();
    while ((await handle.describe()).runId === runId) await handle.signal('triggers', []);
    return runId;
  }

  /** Timers of a run that neither fired nor were cancelled, and how many there were. */
  async function timersOf(jobId: string, runId: string): Promise<{ readonly started: number; readonly left: number }> {
    const { events } = await lab.client.workflow.getHandle(jobWorkflowId(jobId), runId).fetchHistory();
    const count = (kind: 'timerStarted' | 'timerFired' | 'timerCanceled'): number =>
      (events ?? []).filter((event) => event[`${kind}EventAttributes`] != null).length;
    const started = count('timerStarted');
    return { started, left: started - count('timerFired') - count('timerCanceled') };
  }

  test('a run that ends leaves no timer behind: the server would refuse its end if that had just fired', async () => {
    const job = await lab.start();
    await lab.jobs.enter(job, { audience: 'vip', user: 'three', profile: {} });
    await lab.statusWhen(job, ({ waits }) => waits.endpoint !== undefined);
    const continued = await timersOf(job, await untilNextRun(job));
    await afterAnother(job, await lab.jobs.status(job));
    const { runId } = await lab.handle(job).describe();
    await lab.jobs.stop(job, { waiting: 'discard' });
    await lab.handle(job).result();
    for (const { started, left } of [continued, await timersOf(job, runId)]) {
      expect(started).toBeGreaterThan(0);
      expect(left).toBe(0);
    }
  });
});
