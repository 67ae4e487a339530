import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from '@jest/globals';
import type { JobStatus } from '../../src/app/export-jobs.ts';
import { backfillWorkflowId, jobWorkflowId, subscriptionIdOf } from '../../src/domain/names.ts';
import { labOfFile, membersOfVip } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

// A reset of a job's workflow (`temporal workflow reset`): it begins again at an earlier task, and the server signals again what came since.

const MEMBERS = Array.from({ length: 2000 }, (_, i) => `member-${i}`);
// A reset is of one run: more events than the server's, or a job would have begun another one before it is reset.
const SERVER_LIMITS = { payloadBytes: 64 * 1024, signalsPerRun: 10_000, eventsPerRun: 1_024_000 };

let delayMs = 0;
/** From this arrival on, the endpoint takes its time. */
let slowFrom = Infinity;
const lab = await labOfFile({
  // So small that a few hundred waiting triggers need holders.
  config: { requestTimeoutMs: 10_000, serverLimits: SERVER_LIMITS },
  content: membersOfVip(MEMBERS),
  receiver: { answer: ({ number }) => ({ status: 200, delayMs: number >= slowFrom ? 200 : delayMs }) },
});

afterEach(() => {
  delayMs = 0;
  slowFrom = Infinity;
});

/** Where each workflow task of a run ended. */
async function tasksOf(workflowId: string, runId: string): Promise<number[]> {
  const { events } = await lab.client.workflow.getHandle(workflowId, runId).fetchHistory();
  return (events ?? [])
    .filter((event) => event.workflowTaskCompletedEventAttributes != null)
    .map((event) => Number(event.eventId));
}

/** Resets the present run to one of its workflow tasks; the first, say. */
async function reset(job: string, task: (tasks: number[]) => number | undefined): Promise<void> {
  const { workflowId, runId } = await lab.handle(job).describe();
  // A run that has just begun may have completed none yet.
  const workflowTaskFinishEventId = await answerWhen(
    async () => task(await tasksOf(workflowId, runId)),
    (id) => id !== undefined,
  );
  await lab.client.workflowService.resetWorkflowExecution({
    namespace: temporal.namespace,
    workflowExecution: { workflowId, runId },
    reason: 'a test',
    workflowTaskFinishEventId: workflowTaskFinishEventId as never, // The SDK's type is a Long; a number is taken as well.
    requestId: randomUUID(),
  });
}

/** The ids of what arrived since `from`, each once, and how many messages that were. */
function sentSince(from: number) {
  const ids = lab.receiver.ledger.entries.slice(from).map(({ deliveryId }) => deliveryId);
  return { all: ids.length, ids: new Set(ids).size };
}

const enters = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    event: 'enter' as const,
    audience: 'news',
    user: `${prefix}-${i}`,
    profile: {},
  }));

async function childOf(job: string) {
  return lab.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1)).describe();
}

test('after a reset to its first task a job sends everybody again under the same ids', async () => {
  const from = lab.receiver.ledger.entries.length;
  const job = await lab.start({ audiences: ['news'] });
  await lab.jobs.push(job, enters('live', 600));
  const before = await lab.statusWhen(job, ({ delivered }) => delivered === 600);
  expect(before.subscriptionId).toBe(subscriptionIdOf((await lab.handle(job).describe()).runId));
  expect(before).not.toHaveProperty('resetAt');
  await reset(job, ([first]) => first);
  const after = await lab.statusWhen(job, ({ resetAt, delivered }) => resetAt !== undefined && delivered === 600);
  expect(after.subscriptionId).toBe(before.subscriptionId);
  expect(sentSince(from)).toEqual({ all: 1200, ids: 600 });
  const { stdout } = await new Operator(lab.taskQueue).run(['status', job]);
  expect(unwrapped(stdout)).toMatch(/Reset +.*: what came after the moment that it went back to is taken again/);
});

test.each([
  ['while its child runs', 2, 600, 'RUNNING'],
  ['after its child has read everything', 0, 2000, 'COMPLETED'],
] as const)('a backfill goes on after a reset to the first task %s', async (_, answerMs, delivered, child) => {
  const from = lab.receiver.ledger.entries.length;
  delayMs = answerMs;
  // The child is still running when that is looked at.
  if (child === 'RUNNING') slowFrom = from + delivered + 100;
  const job = await lab.start({ audiences: ['vip'], existingUsers: true, parallelRequestCount: 2 });
  const { backfill } = await lab.statusWhen(job, (status) => status.delivered >= delivered);
  while ((await childOf(job)).status.name !== child) await new Promise((resolve) => setTimeout(resolve, 50));
  await reset(job, ([first]) => first);
  delayMs = 0;
  slowFrom = Infinity;
  const after = await lab.statusWhen(job, (status) => hasEnded(status) && status.resetAt !== undefined);
  expect(after.backfill).toMatchObject({ state: 'finished', n: 1, at: backfill?.at, delivered: 2000, taken: 2000 });
  expect(after.notices).toEqual([]);
  expect(sentSince(from).ids).toBe(2000);
  expect(sentSince(from).all).toBeGreaterThanOrEqual(2000 + delivered);
});

/** Whether a backfill has, and nothing waits. */
function hasEnded({ backfill, waiting }: JobStatus): boolean {
  return backfill !== undefined && backfill.state !== 'running' && waiting === 0;
}

test('a later backfill and triggers beside it keep their ids through a reset to the first task', async () => {
  const from = lab.receiver.ledger.entries.length;
  delayMs = 2;
  const job = await lab.start({ parallelRequestCount: 3 });
  await lab.jobs.enter(job, { audience: 'news', user: 'before', profile: {} });
  await lab.jobs.backfill(job, { audiences: ['vip'] });
  await lab.jobs.push(job, enters('beside', 50));
  await lab.statusWhen(job, ({ delivered }) => delivered > 400);
  await reset(job, ([first]) => first);
  delayMs = 0;
  await lab.statusWhen(job, (status) => hasEnded(status) && status.delivered === 2051);
  expect(sentSince(from).ids).toBe(2051);
});

test('a job sends its own existing users even if an earlier job of its id still has a backfill running', async () => {
  delayMs = 2;
  const job = await lab.start({ audiences: ['vip'], existingUsers: true, parallelRequestCount: 2 });
  await lab.statusWhen(job, ({ delivered }) => delivered > 100);
  await lab.handle(job).terminate();
  delayMs = 0;
  const from = lab.receiver.ledger.entries.length;
  const definition = { label: 'Anew', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  await lab.jobs.start({ ...definition, existingUsers: true }, { jobId: job, discardRecoverable: true });
  const after = await lab.statusWhen(job, hasEnded);
  expect(after.backfill).toMatchObject({ state: 'finished', delivered: 2000 });
  expect(sentSince(from).ids).toBeGreaterThanOrEqual(2000);
});

test('a reset neither loses nor mixes up triggers in holders, even if it then divides them otherwise', async () => {
  const from = lab.receiver.ledger.entries.length;
  const job = await lab.start({ audiences: ['news'] });
  await lab.jobs.pause(job);
  const people = enters('held', 1500).map((trigger, i) => ({ ...trigger, profile: { i, text: 'x'.repeat(200) } }));
  for (let i = 0; i < 1500; i += 100) await lab.jobs.push(job, people.slice(i, i + 100));
  await lab.statusWhen(job, ({ waiting, overflow }) => waiting === 1500 && overflow > 900);
  // What a worker allows is looked up anew: holders of the same numbers then keep other triggers than before.
  await lab.stopWorkers();
  await lab.addWorker({ serverLimits: { ...SERVER_LIMITS, payloadBytes: 96 * 1024 } });
  await reset(job, ([first]) => first);
  await lab.statusWhen(
    job,
    ({ resetAt, state, waiting }) => resetAt !== undefined && state === 'paused' && waiting === 1500,
  );
  await lab.jobs.resume(job);
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  expect(sentSince(from)).toEqual({ all: 1500, ids: 1500 });
});
