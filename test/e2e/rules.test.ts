import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/client/export-jobs.ts';
import { beginJob, carryJob, FIRST_RULES } from '../../src/domain/job/state.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { jobRecord } from '../domain/job/a-record.ts';
import { Lab, VIP } from '../support/lab.ts';

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

/** Starts a run with what one of an older release carried. */
async function startByFirstRules(): Promise<string> {
  const jobId = `lab-${randomUUID()}`;
  const record = jobRecord(1);
  const definition = { ...record.definition, label: 'Old', audiences: ['vip'], webhookUrl: lab.receiver.url };
  const job = { ...record, subscriptionId: randomUUID().replaceAll('-', ''), definition, audiences: [VIP] };
  const carried = carryJob(beginJob({ ...job, serverLimits: SERVER_LIMITS }, 7, FIRST_RULES));
  const start = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args: [carried] };
  await lab.client.workflow.start(EXPORT_JOB, start);
  return jobId;
}

/** How long the job waits after its last answer, in ms. */
function waitMs({ throttledUntil = '', lastFailure }: JobStatus): number {
  return Date.parse(throttledUntil) - Date.parse(lastFailure?.at ?? '');
}

/** The status after the next answer. */
async function afterAnother(jobId: string, { lastFailure }: JobStatus): Promise<JobStatus> {
  return lab.statusWhen(
    jobId,
    (status) => status.throttledUntil !== undefined && status.lastFailure?.at !== lastFailure?.at,
  );
}

/** Pauses nothing: the run ends after some signals, and the job goes on. Gives the run that has ended. */
async function untilNextRun(jobId: string): Promise<string> {
  const handle = lab.handle(jobId);
  const { runId } = await handle.describe();
  while ((await handle.describe()).runId === runId) await handle.signal('triggers', []);
  return runId;
}

test('a run decides by the rules that it began with, also when it is replayed, and the next one by the new', async () => {
  const job = await startByFirstRules();
  await lab.jobs.enter(job, { audience: 'vip', user: 'one', profile: {} });
  const first = await lab.statusWhen(job, ({ throttledUntil }) => throttledUntil !== undefined);
  expect(waitMs(first)).toBe(1000);
  await lab.stopWorkers();
  await lab.addWorker();
  const replayed = await afterAnother(job, first);
  expect(waitMs(await afterAnother(job, replayed))).toBe(1000);

  await untilNextRun(job);
  const before = await lab.jobs.status(job);
  expect(waitMs(await afterAnother(job, before))).toBeGreaterThanOrEqual(5000);
  await lab.jobs.stop(job, { waiting: 'discard' });
});

test('a job that begins now decides by the newest rules from the start', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'two', profile: {} });
  expect(waitMs(await lab.statusWhen(job, ({ throttledUntil }) => throttledUntil !== undefined))).toBe(5000);
  await lab.jobs.stop(job, { waiting: 'discard' });
});

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
  await lab.statusWhen(job, ({ throttledUntil }) => throttledUntil !== undefined);
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
