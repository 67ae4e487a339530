import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import {
  JobAlreadyRunning,
  type JobDefinitionInput,
  JobKept,
  JobNotFound,
  JobRecoverable,
  type JobStatus,
  NothingToRecover,
} from '../../src/app/export-jobs.ts';
import { ask } from '../../src/client/calls/asking.ts';
import { prepare } from '../../src/client/jobs/job-definition.ts';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { recoveryQuery } from '../../src/workflows/messages.ts';
import { labOfFile, membersOfVip } from '../support/lab.ts';
import { Operator, startTriggers, unwrapped } from '../support/triggers-cli.ts';
import { afterwards } from '../webhook/a-server.ts';

const MEMBERS = Array.from({ length: 300 }, (_, index) => `member-${index}`);

let answerMs = 0;

const lab = await labOfFile({
  // So small that a few hundred waiting triggers need holders.
  config: {
    requestTimeoutMs: 1000,
    serverLimits: { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 51_200 },
  },
  content: membersOfVip(MEMBERS),
  receiver: { answer: () => ({ status: 200, delayMs: answerMs }) },
});
const operator = new Operator(lab.taskQueue);

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

/** Returns the events of each person in the order in which they first arrived: a slow machine's request may time out and come again. */
function arrivedOf(users: readonly string[]): string[][] {
  const of = new Map<string, string[]>(users.map((user) => [user, []]));
  const seen = new Set<string | undefined>();
  for (const { message, deliveryId } of lab.receiver.ledger.entries) {
    if (message !== undefined && !seen.has(deliveryId)) of.get(message.user)?.push(message.event);
    seen.add(deliveryId);
  }
  return [...of.values()];
}

async function terminate(job: string): Promise<void> {
  await lab.handle(job).terminate('to see what is left');
}

test('a recovered job continues with triggers from its state, its holders, and signals that no worker saw', async () => {
  const users = people(50);
  const job = await lab.start();
  await lab.jobs.pause(job);
  await lab.jobs.push(job, changes(users, 20));
  const before = await lab.statusWhen(job, ({ waiting, overflow }) => waiting === 1000 && overflow > 100);
  await lab.stopWorkers();
  const late = people(50);
  await lab.jobs.push(job, changes(late, 20));
  await terminate(job);
  await lab.addWorker();

  const status = await operator.json<JobStatus>(['status', job]);
  expect(status).toMatchObject({ state: 'terminated', recoverableUntil: expect.stringMatching(/^20\d\d-/) });
  await lab.listedWhen(job, ({ state }) => state === status.state);
  await expect(lab.jobs.pause(job)).rejects.toMatchObject({
    left: 'recoverable',
    remedies: [{ action: 'recover', job }],
  });
  const { stdout } = await operator.run(['status', job]);
  expect(unwrapped(stdout)).toContain('Recover it before you start it again.');
  expect(stdout).toMatch(/Recoverable +until 20\d\d-\d\d-\d\d \d\d:\d\d UTC/);

  const recovered = await operator.run(['recover', job]);
  expect(recovered).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Recovered .*; [\d,]+ triggers waiting/) });
  await lab.jobs.resume(job);
  const after = await lab.statusWhen(job, ({ delivered }) => delivered >= 2000);
  expect(after).toMatchObject({ received: 2000, delivered: 2000, waiting: 0, subscriptionId: before.subscriptionId });
  const told = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 'enter' : 'exit'));
  expect(arrivedOf(users)).toEqual(users.map(() => told));
  expect(arrivedOf(late)).toEqual(late.map(() => told));
});

test('recover says for how long it waits, and starts nothing before all that was in flight is over', async () => {
  const job = await lab.start();
  const text = (await ask(lab.client, jobWorkflowId(job), recoveryQuery, { args: [0] }))?.text ?? '';
  await terminate(job);
  const { carried } = JSON.parse(text);
  // So long that no machine is too slow to see it wait.
  const slow = { ...carried, job: { ...carried.job, requestTimeoutMs: 3_600_000 } };
  const again = { workflowId: jobWorkflowId(job), taskQueue: lab.taskQueue, args: [slow] };
  const { firstExecutionRunId } = await lab.client.workflow.start(EXPORT_JOB, again);
  await terminate(job);
  const recovering = startTriggers(['recover', job], { env: { TRIGGERS_TASK_QUEUE: lab.taskQueue } });
  afterwards(() => recovering.kill());
  await recovering.says(({ stderr }) => /Waiting 3[56]\d\d s, until\s+nothing of the terminated run/.test(stderr));
  expect(recovering.stdout).toBe('');
  expect((await lab.handle(job).describe()).runId).toBe(firstExecutionRunId);
});

test('a job that is terminated while it sends repeats at most what was in flight, and loses nothing', async () => {
  const users = people(40);
  // Some fifteen seconds for all of them.
  answerMs = 20;
  const before = lab.receiver.ledger.entries.length;
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 2 });
  await lab.jobs.push(job, changes(users, 30));
  await lab.statusWhen(job, ({ delivered }) => delivered > 20);
  await terminate(job);
  answerMs = 0;
  expect(lab.receiver.ledger.entries.length - before).toBeLessThan(1400);
  const status = await lab.jobs.recover(job);
  expect(status.state).not.toBe('terminated');
  const after = await lab.statusWhen(job, ({ waiting, backfill }) => waiting === 0 && backfill?.state !== 'running');
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
});

test.each(['its definition', "a worker's answer about it"])(
  'a job that no worker ever took up, started with %s, begins with what it was signalled',
  async (input) => {
    const [user] = people(1) as [string];
    const job = `lab-${randomUUID()}`;
    const definition = { label: 'Early', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    const prepared = await prepare(lab.client, lab.taskQueue, definition);
    await lab.stopWorkers();
    await lab.client.workflow.start(EXPORT_JOB, {
      workflowId: jobWorkflowId(job),
      taskQueue: lab.taskQueue,
      args: [input === 'its definition' ? definition : { v: 1, ...prepared }],
    });
    await lab.handle(job).signal('enter', { audience: 'vip', user, profile: {} });
    await lab.handle(job).signal('exit', [{ audience: 'vip', user }]);
    await terminate(job);
    await lab.addWorker();
    await lab.jobs.recover(job);
    await lab.statusWhen(job, ({ delivered }) => delivered === 2);
    expect(arrivedOf([user])).toEqual([['enter', 'exit']]);
  },
);

test('no job replaces a recoverable terminated one unless its start gives that up', async () => {
  const users = people(4);
  const job = await lab.start({ existingUsers: true, parallelRequestCount: 1, backfillPerSecond: 1 });
  await lab.jobs.pause(job);
  await lab.stopWorkers();
  await lab.jobs.push(job, changes(users, 2));
  await terminate(job);
  await lab.addWorker();
  const refusal = await lab.jobs.start(anew(), { jobId: job }).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(JobRecoverable);
  // Of the members, those that it had read wait in it.
  const { waiting = 0, ended, remedies } = refusal as JobRecoverable;
  expect([ended, waiting >= 8]).toEqual(['terminated', true]);
  expect(remedies).toEqual([{ action: 'recover', job }, { action: 'discardRecoverable' }]);
  const command = ['start', '--label', 'Anew', '--audience', 'news', '--url', lab.receiver.url, '--no-authorization'];
  const told = await operator.run([...command, '--id', job]);
  expect(told.code).toBe(1);
  expect(unwrapped(told.stderr)).toMatch(/had not delivered \d+ triggers.*triggers recover .*--discard-recoverable/);
  expect((await lab.handle(job).describe()).status.name).toBe('TERMINATED');

  const forced = await operator.json<{ warnings: string[] }>([...command, '--id', job, '--discard-recoverable']);
  expect(forced.warnings).toEqual([
    expect.stringMatching(/did not end normally \(terminated\)\. As you asked, \d+ triggers .* were given up\./),
  ]);
});

test.each([
  ['delivered everything', async () => lab.start()],
  ['never began, since it was wrong, and was told nothing', startedWrong],
])('a new job can replace one that did not end normally and %s', async (_, before) => {
  const job = await before();
  await terminate(job).catch(() => undefined);
  expect(await lab.jobs.start(anew(), { jobId: job })).toMatchObject({ jobId: job, warnings: [] });
});

/** A job that a foreign program started with a definition that cannot run. */
async function startedWrong(...signals: object[]): Promise<string> {
  const job = `lab-${randomUUID()}`;
  const handle = await lab.client.workflow.signalWithStart(EXPORT_JOB, {
    workflowId: jobWorkflowId(job),
    taskQueue: lab.taskQueue,
    args: [{ label: 'Wrong', audiences: ['nobody'], webhookUrl: lab.receiver.url, authorization: null }],
    signal: 'triggers',
    signalArgs: [signals],
  });
  await handle.result().catch(() => undefined);
  return job;
}

test('a start does not give up triggers signalled to a job that failed before it began', async () => {
  const job = await startedWrong({ audience: 'vip', user: 'early', event: 'enter' });
  await expect(lab.jobs.start(anew(), { jobId: job })).rejects.toMatchObject({
    name: 'JobRecoverable',
    ended: 'failed',
    waiting: 1,
  });
});

/** A job that has stopped and keeps what waited. */
async function keptJobOf(users: readonly string[], definition: Partial<JobDefinitionInput> = {}) {
  const job = await lab.start(definition);
  await lab.jobs.pause(job);
  await lab.jobs.push(job, changes(users, 2));
  await lab.statusWhen(job, ({ received }) => received === users.length * 2);
  await lab.jobs.stop(job, { waiting: 'keep' });
  const { subscriptionId } = await lab.statusWhen(job, ({ state }) => state === 'stopped');
  return { job, subscriptionId };
}

function anew(): JobDefinitionInput {
  return { label: 'Anew', audiences: ['news'], webhookUrl: lab.receiver.url, authorization: null };
}

test('a stopped job that somebody terminated is recovered with what it kept, which resume sends', async () => {
  // So many that some of them wait in holders.
  const users = people(500);
  const { job, subscriptionId } = await keptJobOf(users);
  await expect(lab.jobs.recover(job)).rejects.toThrow(JobKept);
  await terminate(job);

  const status = await operator.json<JobStatus>(['status', job]);
  expect(status).toMatchObject({
    state: 'terminated',
    waiting: 1000,
    recoverableUntil: expect.stringMatching(/^20\d\d-/),
  });
  expect(status.overflow).toBeGreaterThan(100);
  expect(status).not.toHaveProperty('kept');
  await expect(lab.jobs.start(anew(), { jobId: job })).rejects.toMatchObject({
    name: 'JobRecoverable',
    ended: 'terminated',
    waiting: 1000,
    backfill: false,
  });
  const resumed = await operator.run(['resume', job]);
  expect(resumed.code).toBe(1);
  expect(unwrapped(resumed.stderr)).toContain(`triggers recover ${job}`);

  const recovered = await operator.run(['recover', job]);
  expect({ ...recovered, stdout: unwrapped(recovered.stdout) }).toMatchObject({
    code: 0,
    stdout: `Recovered ${job}. It is stopped, as it was, and keeps 1,000 triggers. Send them with: triggers resume ${job}`,
  });
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'stopped', kept: { waiting: 1000 } });
  expect(arrivedOf(users)).toEqual(users.map(() => []));
  await expect(lab.jobs.recover(job)).rejects.toThrow(JobKept);
  await lab.jobs.resume(job);
  const after = await lab.statusWhen(job, ({ delivered }) => delivered === 1000);
  expect(after).toMatchObject({ received: 1000, waiting: 0, subscriptionId });
  expect(arrivedOf(users)).toEqual(users.map(() => ['enter', 'exit']));
});

test('the backfill that a stopped job keeps goes on when it is recovered', async () => {
  const before = lab.receiver.ledger.entries.length;
  const { job } = await keptJobOf([], { existingUsers: true, backfillPerSecond: 1 });
  await terminate(job);
  await expect(lab.jobs.start(anew(), { jobId: job })).rejects.toMatchObject({
    name: 'JobRecoverable',
    backfill: true,
  });
  await lab.jobs.recover(job);
  await lab.jobs.resume(job);
  await lab.jobs.edit(job, { backfillPerSecond: null });
  const { backfill } = await lab.statusWhen(job, ({ backfill }) => backfill?.state === 'finished');
  expect(backfill).toMatchObject({ expected: 300, delivered: 300 });
  const told = lab.receiver.ledger.entries.slice(before).map(({ message }) => message?.user);
  expect(MEMBERS.every((member) => told.includes(member))).toBe(true);
});

test.each([
  ['resumed', async (job: string) => lab.jobs.resume(job)],
  ['discarded', async (job: string) => lab.jobs.stop(job, { waiting: 'discard' })],
])('recover finds nothing in a kept job that was %s in order', async (_, decide) => {
  const { job } = await keptJobOf(people(1));
  await decide(job);
  await lab.jobs.stop(job).catch(() => undefined);
  await lab.handle(job).result();
  await expect(lab.jobs.recover(job)).rejects.toThrow(NothingToRecover);
  expect(await lab.jobs.status(job)).not.toHaveProperty('recoverableUntil');
  expect(await lab.jobs.start(anew(), { jobId: job })).toMatchObject({ warnings: [] });
});

test('of two who recover a job at the same time, one learns that it runs already', async () => {
  const job = await lab.start();
  await lab.handle(job).terminate();
  const answers = await Promise.allSettled([lab.jobs.recover(job), lab.jobs.recover(job)]);
  const refused = answers.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  expect(refused).toMatchObject([{ jobId: job, message: expect.stringContaining('nothing to recover') }]);
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
