import { setTimeout } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { Answer } from '../../src/local/receiver.ts';
import { DEFAULT_SERVER_LIMITS } from '../../src/domain/limits.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { type Lab, labOfTest } from '../support/lab.ts';

/** From then on, a workflow task sends nothing. */
const LATE_MS = 3_500;

/** How often the runs of a job sent a slice within a workflow task, and how often an activity sent one or went on with one. */
async function sendings(lab: Lab, job: string): Promise<{ runs: number; quick: number; activities: number }> {
  const counted = { runs: 0, quick: 0, activities: 0 };
  for await (const { runId } of lab.client.workflow.list({ query: `WorkflowId = '${jobWorkflowId(job)}'` })) {
    counted.runs++;
    const { events } = await lab.client.workflow.getHandle(jobWorkflowId(job), runId).fetchHistory();
    for (const event of events ?? []) {
      if (event.markerRecordedEventAttributes != null) counted.quick++;
      if (event.activityTaskScheduledEventAttributes?.activityType?.name === 'deliver') counted.activities++;
    }
  }
  return counted;
}

test('lone triggers are sent within workflow tasks, and once each, also where a trigger comes while a run would end', async () => {
  let sent = 0;
  const more = 120;
  // Each request brings the next trigger, while the workflow task that sends it is not done yet.
  const answer = (): Answer => {
    if (sent++ < more) void lab.jobs.enter(job, { audience: 'vip', user: `u${sent}`, profile: {} });
    return { status: 200, delayMs: 25 };
  };
  const lab: Lab = await labOfTest({
    receiver: { answer },
    config: { serverLimits: { ...DEFAULT_SERVER_LIMITS, eventsPerRun: 5_000 } },
  });
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'u0', profile: {} });
  await lab.receiver.ledger.waitFor((ledger) => ledger.delivered === more + 1);
  expect(lab.receiver.ledger.summary()).toMatchObject({ duplicates: 0, overlaps: 0 });
  const { runs, quick } = await sendings(lab, job);
  expect(runs).toBeGreaterThan(1);
  // On a busy machine one takes long, and then some are sent otherwise.
  expect(quick).toBeGreaterThan(0);
});

test('an activity goes on with a request that takes long after all, and meanwhile others are sent', async () => {
  const lab = await labOfTest({
    receiver: { answer: ({ message }) => ({ status: 200, delayMs: message?.user === 'slow' ? 3_000 : 0 }) },
  });
  const job = await lab.start({ parallelRequestCount: 5 });
  const arrived = () => lab.receiver.ledger.entries.map(({ message }) => message?.user);
  for (const user of ['first', 'second']) {
    await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
    await lab.statusWhen(job, ({ waiting, delivered }) => waiting === 0 && delivered > 0);
  }
  await lab.jobs.enter(job, { audience: 'vip', user: 'slow', profile: {} });
  await lab.receiver.ledger.waitFor(() => arrived().includes('slow'));
  await lab.jobs.enter(job, { audience: 'vip', user: 'other', profile: {} });
  await lab.receiver.ledger.waitFor(() => arrived().includes('other'));
  await lab.statusWhen(job, ({ inFlight, delivered }) => inFlight === 1 && delivered === 3);
  await lab.statusWhen(job, ({ delivered }) => delivered === 4);
  expect(arrived()).toEqual(['first', 'second', 'slow', 'other']);
});

test('a worker that shuts down with a request open sends it once', async () => {
  const lab = await labOfTest({
    receiver: { answer: ({ message }) => ({ status: 200, delayMs: message?.user === 'slow' ? 700 : 0 }) },
    workers: 0,
  });
  const worker = await lab.addWorker();
  const job = await lab.start();
  for (const user of ['first', 'second']) {
    await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
    await lab.statusWhen(job, ({ waiting, inFlight }) => waiting === 0 && inFlight === 0);
  }
  await lab.jobs.enter(job, { audience: 'vip', user: 'slow', profile: {} });
  await lab.receiver.ledger.waitFor(({ entries }) => entries.some(({ message }) => message?.user === 'slow'));
  await lab.shutdown(worker);
  await lab.addWorker();
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  expect(lab.receiver.ledger.summary()).toMatchObject({ delivered: 3, duplicates: 0 });
});

test('asking a job that was terminated sends nothing', async () => {
  const lab = await labOfTest();
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'first', profile: {} });
  await lab.statusWhen(job, ({ waiting, delivered }) => waiting === 0 && delivered === 1);
  await lab.stopWorkers();
  await lab.jobs.enter(job, { audience: 'vip', user: 'late', profile: {} });
  await lab.handle(job).terminate();
  await setTimeout(LATE_MS);
  await lab.addWorker();
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'terminated', delivered: 1 });
  expect(lab.receiver.ledger.entries.map(({ message }) => message?.user)).toEqual(['first']);
});
