import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { JobAlreadyRunning, JobNotFound, type JobStatus, NothingToRecover } from '../../src/client/export-jobs.ts';
import { EXPORT_JOB, jobWorkflowId, KEPT_JOB, keptWorkflowId } from '../../src/domain/names.ts';
import { recoveryQuery } from '../../src/workflows/messages.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const MEMBERS = Array.from({ length: 300 }, (_, index) => `member-${index}`);

let lab: Lab;
let operator: Operator;
let answerMs = 0;

beforeAll(async () => {
  lab = await Lab.open({
    // So small that a few hundred waiting triggers need holders.
    config: {
      requestTimeoutMs: 1000,
      serverLimits: { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 },
    },
    content: {
      audiences: [
        { ...VIP, members: MEMBERS },
        { ...NEWS, members: [] },
      ],
      profiles: Object.fromEntries(MEMBERS.map((member) => [member, {}])),
    },
    receiver: { answer: () => ({ status: 200, delayMs: answerMs }) },
  });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

/** Triggers of many people, one after another: of each an enter, then of each an exit, and so on. */
function* changes(people: readonly string[], each: number) {
  for (let i = 0; i < each; i++) {
    const event = i % 2 === 0 ? ('enter' as const) : ('exit' as const);
    for (const user of people)
      yield { event, audience: 'vip', user, at: `2026-11-25T08:30:00.${100 + i}Z`, profile: {} };
  }
}

function people(count: number): string[] {
  const prefix = randomUUID().slice(0, 8);
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** For each person, when what they were told of had happened, in the order in which it arrived. */
function arrivedOf(users: readonly string[]): string[][] {
  const of = new Map<string, string[]>(users.map((user) => [user, []]));
  for (const { message } of lab.receiver.ledger.entries) {
    if (message !== undefined) of.get(message.user)?.push(message.event);
  }
  return [...of.values()];
}

async function terminate(job: string): Promise<void> {
  await lab.handle(job).terminate('to see what is left');
}

test('a terminated job goes on with what waited in it and in holders, and with what was signalled while no worker was there', async () => {
  const users = people(50);
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.push(job, changes(users, 20));
  const before = await lab.statusWhen(job, ({ waiting, overflow }) => waiting === 1000 && overflow > 100, 30_000);
  await lab.stopWorkers();
  const late = people(50);
  await lab.jobs.push(job, changes(late, 20));
  await terminate(job);
  await lab.addWorker();

  const status = await operator.json<JobStatus>(['status', job]);
  expect(status).toMatchObject({ state: 'stopped', recoverableUntil: expect.stringMatching(/^20\d\d-/) });
  await expect(lab.jobs.pause(job)).rejects.toThrow(/no longer running \(terminated\)\. Before .* triggers recover/);
  const { stdout } = await operator.run(['status', job]);
  expect(unwrapped(stdout)).toContain(`triggers recover ${job}`);
  expect(stdout).toMatch(/Recoverable +until 20\d\d-\d\d-\d\d \d\d:\d\d UTC/);

  const recovered = await operator.run(['recover', job]);
  expect(recovered).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Recovered .*; [\d,]+ triggers waiting/) });
  expect(recovered.stderr).toMatch(/Waiting \d s, until nothing of the terminated run/);
  await lab.jobs.resume(job);
  const after = await lab.statusWhen(job, ({ delivered }) => delivered >= 2000, 30_000);
  expect(after).toMatchObject({ received: 2000, delivered: 2000, waiting: 0, subscriptionId: before.subscriptionId });
  const told = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 'enter' : 'exit'));
  expect(arrivedOf(users)).toEqual(users.map(() => told));
  expect(arrivedOf(late)).toEqual(late.map(() => told));
}, 90_000);

test('a job that is terminated while it sends repeats at most what was in flight, and loses nothing', async () => {
  const users = people(40);
  answerMs = 5;
  const before = lab.receiver.ledger.entries.length;
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 2 });
  await lab.jobs.push(job, changes(users, 30));
  await lab.statusWhen(job, ({ delivered }) => delivered > 20);
  await terminate(job);
  answerMs = 0;
  expect(lab.receiver.ledger.entries.length - before).toBeLessThan(1400);
  const status = await lab.jobs.recover(job);
  expect(status.state).not.toBe('stopped');
  const after = await lab.statusWhen(
    job,
    ({ waiting, backfill }) => waiting === 0 && backfill?.state !== 'running',
    40_000,
  );
  expect(after).toMatchObject({ received: 1200, backfill: { state: 'finished' } });
  const deliveries = new Map<string, string[]>(users.map((user) => [user, []]));
  const seen = new Set<string>();
  for (const { message, deliveryId } of lab.receiver.ledger.entries) {
    if (message === undefined || seen.has(deliveryId ?? '')) continue;
    seen.add(deliveryId ?? '');
    deliveries.get(message.user)?.push(message.event);
  }
  const told = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? 'enter' : 'exit'));
  expect([...deliveries.values()]).toEqual(users.map(() => told));
  expect(arrivedOf(MEMBERS).every((events) => events.length > 0)).toBe(true);
  // Two slices of it were in flight.
  expect(lab.receiver.ledger.entries.length - before - 1500).toBeLessThan(600);
}, 90_000);

test('a job that no worker ever took up begins with what it was signalled', async () => {
  const [user] = people(1) as [string];
  const job = `lab-${randomUUID()}`;
  await lab.stopWorkers();
  await lab.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(job),
    taskQueue: lab.taskQueue,
    args: [{ label: 'Early', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null }],
  });
  await lab.handle(job).signal('enter', { audience: 'vip', user, profile: {} });
  await lab.handle(job).signal('exit', [{ audience: 'vip', user }]);
  await terminate(job);
  await lab.addWorker();
  await lab.jobs.recover(job);
  await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect(arrivedOf([user])).toEqual([['enter', 'exit']]);
});

test('a job that starts under the id of a terminated one says that it begins anew', async () => {
  const job = await lab.start();
  await terminate(job);
  const definition = { label: 'Anew', audiences: ['news'], webhookUrl: lab.receiver.url, authorization: null };
  const { warnings } = await lab.jobs.start(definition, { jobId: job });
  expect(warnings).toEqual([
    expect.stringMatching(/was terminated. This is a new job, which does not have what that one had not delivered/),
  ]);
});

test('what a job kept before it was terminated is in it when it is recovered, and kept no more', async () => {
  const users = people(3);
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.push(job, changes(users, 2));
  await lab.statusWhen(job, ({ waiting }) => waiting === 6);
  // As when it is terminated after it was kept, and before it ended itself.
  const { carried } = JSON.parse((await lab.handle(job).query(recoveryQuery, 0))?.text ?? '');
  const kept = { v: 1, jobWorkflowId: jobWorkflowId(job), carried };
  const workflowId = keptWorkflowId(kept.jobWorkflowId);
  await lab.client.workflow.start(KEPT_JOB, { workflowId, taskQueue: lab.taskQueue, args: [kept] });
  await terminate(job);
  await lab.jobs.recover(job);
  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ delivered }) => delivered === 6);
  expect((await lab.client.workflow.getHandle(workflowId).describe()).status.name).toBe('TERMINATED');
  expect(arrivedOf(users)).toEqual(users.map(() => ['enter', 'exit']));
});

test('a job that runs, was stopped in order, or never was, is not recovered', async () => {
  const job = await lab.start();
  await expect(lab.jobs.recover(job)).rejects.toThrow(JobAlreadyRunning);
  await lab.jobs.stop(job);
  await lab.handle(job).result();
  await expect(lab.jobs.recover(job)).rejects.toThrow(NothingToRecover);
  expect(await lab.jobs.status(job)).not.toHaveProperty('recoverableUntil');
  await expect(lab.jobs.recover(`lab-${randomUUID()}`)).rejects.toThrow(JobNotFound);
});
