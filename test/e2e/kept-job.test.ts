import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { createKeepJob } from '../../src/activities/holders.ts';
import { TemporalSideWorkflows } from '../../src/client/side-workflows.ts';
import type { KeptJobStatus } from '../../src/contract/kept-job.ts';
import { admit } from '../../src/domain/job/arriving.ts';
import { beginJob, type CarriedJob, carryJob } from '../../src/domain/job/carrying.ts';
import { HOLDER, jobWorkflowId, keptWorkflowId } from '../../src/domain/names.ts';
import { jobRecord } from '../domain/job/a-record.ts';
import { Lab, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';

let lab: Lab;
let workflows: TemporalSideWorkflows;
let keepJob: ReturnType<typeof createKeepJob>;

beforeAll(async () => {
  lab = await Lab.open();
  workflows = new TemporalSideWorkflows(lab.client, lab.taskQueue);
  // No run wants these but the test.
  keepJob = createKeepJob(workflows, () => undefined);
});
afterAll(async () => lab.close());

/** What a job carries that was stopped with `keep` while an enter of each of these people waited. */
function carriedWith(users: readonly string[], more: Partial<CarriedJob> = {}): CarriedJob {
  const record = jobRecord(5);
  const definition = { ...record.definition, label: 'Kept', audiences: ['vip'], webhookUrl: lab.receiver.url };
  const state = beginJob(
    { ...record, subscriptionId: randomUUID().replaceAll('-', ''), definition, audiences: [VIP] },
    7,
  );
  for (const user of users) admit(state, { user, audience: 'vip', profile: {} }, 'enter', Date.now());
  return { ...carryJob(state), stopping: { waiting: 'keep' }, ...more };
}

async function keep(carried: CarriedJob): Promise<{ jobId: string; kept: WorkflowHandle }> {
  const jobId = `kept-${randomUUID()}`;
  await keepJob(jobWorkflowId(jobId), carried);
  return { jobId, kept: lab.client.workflow.getHandle(keptWorkflowId(jobWorkflowId(jobId))) };
}

async function statusWhen(handle: WorkflowHandle, isAsWanted: (status: KeptJobStatus) => boolean) {
  return await answerWhen(() => handle.query<KeptJobStatus>('status'), isAsWanted);
}

test('a kept job that is resumed runs again under its own id, and sends what waited', async () => {
  const users = [`a ${randomUUID()}`, `b ${randomUUID()}`];
  const { jobId, kept } = await keep(carriedWith(users));
  expect(lab.receiver.ledger.requests).toBe(0);
  await kept.signal('resume');
  expect(await kept.result()).toBe('resumed');
  await Promise.all(users.map((user) => lab.arrives(user)));
  const status = await lab.statusWhen(jobId, ({ delivered }) => delivered === 2);
  expect(status).toMatchObject({ state: 'running', received: 2, waiting: 0 });
  await lab.jobs.stop(jobId);
});

test('it goes on with what it carried: paused as it was, but no longer stopping', async () => {
  const carried = carriedWith(['1'], { pause: { by: 'operator' } });
  const { jobId, kept } = await keep(carried);
  await kept.signal('resume');
  await kept.result();
  const { stopping: _, ...rest } = carried;
  expect(await workflows.inputOf(jobWorkflowId(jobId))).toEqual(rest);
  await lab.handle(jobId).terminate();
});

test('a job that is resumed is found and shown as one that was just started', async () => {
  const { jobId, kept } = await keep(carriedWith(['1'], { pause: { by: 'operator' } }));
  await kept.signal('resume');
  await kept.result();
  const description = await lab.handle(jobId).describe();
  expect(description.memo).toMatchObject({ label: 'Kept', audiences: [{ id: VIP.id, slug: 'vip' }] });
  expect(await description.staticSummary()).toBe('Kept');
  const { events } = await lab.handle(jobId).fetchHistory();
  const attributes = events?.[0]?.workflowExecutionStartedEventAttributes?.searchAttributes?.indexedFields;
  expect(Object.keys(attributes ?? {})).toEqual(
    expect.arrayContaining(['ExportJobId', 'ExportJobStatus', 'ExportAudiences']),
  );
  await lab.handle(jobId).terminate();
});

test('a kept job that is discarded has its job drop what is waiting, and nothing is sent', async () => {
  const user = randomUUID();
  const { jobId, kept } = await keep(carriedWith([user]));
  await kept.signal('discard');
  expect(await kept.result()).toBe('discarded');
  await lab.handle(jobId).result();
  expect(await workflows.inputOf(jobWorkflowId(jobId))).toMatchObject({ stopping: { waiting: 'discard' } });
  expect(lab.receiver.ledger.entries.filter(({ message }) => message?.user === user)).toEqual([]);
});

test.each(['resume', 'discard'])(
  'while a job of its id runs, "%s" leaves it as it is, and it says so',
  async (signal) => {
    const { jobId, kept } = await keep(carriedWith(['1'], { pause: { by: 'operator' } }));
    const running = await lab.client.workflow.start(HOLDER, {
      workflowId: jobWorkflowId(jobId),
      taskQueue: lab.taskQueue,
      args: [{}],
    });
    await kept.signal(signal);
    const { state, notice } = await statusWhen(kept, ({ notice }) => notice !== undefined);
    expect([state, notice]).toEqual(['kept', `A job ${jobId} is already running. Stop it, then signal again.`]);
    expect((await kept.describe()).memo).toMatchObject({ notice, waiting: 1 });
    await running.signal('release');
    await running.result();
    await kept.signal('resume');
    expect(await kept.result()).toBe('resumed');
    await lab.handle(jobId).terminate();
  },
);

test('kept again, what was kept before is gone: it is older', async () => {
  const { jobId, kept } = await keep(carriedWith(['1']));
  await keepJob(jobWorkflowId(jobId), carriedWith(['1', '2', '3']));
  expect(await statusWhen(kept, () => true)).toMatchObject({ v: 1, state: 'kept', jobId, label: 'Kept', waiting: 3 });
  await kept.terminate();
});

test('its memo says whose it is, how much waits and since when', async () => {
  const before = Date.now();
  const { jobId, kept } = await keep(carriedWith(['1', '2']));
  const { memo, typedSearchAttributes } = await kept.describe();
  expect(memo).toEqual({
    label: 'Kept',
    audiences: [{ id: VIP.id, slug: 'vip' }],
    job: jobId,
    waiting: 2,
    keptAt: expect.any(String),
  });
  expect(Date.parse(String(memo?.['keptAt']))).toBeGreaterThanOrEqual(before);
  expect(typedSearchAttributes.getAll()).toEqual(
    expect.arrayContaining([
      { key: { name: 'ExportJobId', type: 'KEYWORD' }, value: jobId },
      { key: { name: 'ExportJobStatus', type: 'KEYWORD' }, value: 'kept' },
    ]),
  );
  await kept.terminate();
});

test('no signal breaks it, and cancelling it does not drop what is waiting', async () => {
  const { kept } = await keep(carriedWith(['1']));
  await kept.signal('nonsense', 1);
  await kept.cancel();
  await statusWhen(kept, ({ state }) => state === 'kept'); // Answered by a worker that has seen both.
  expect((await kept.describe()).status.name).toBe('RUNNING');
  await kept.terminate();
});
