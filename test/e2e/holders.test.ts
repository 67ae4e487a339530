import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { NativeConnection } from '@temporalio/worker';
import { createHolders } from '../../src/activities/holders.ts';
import { TemporalSideWorkflows } from '../../src/client/calls/side-workflows.ts';
import type { PackedTriggers } from '../../src/contract/holder.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { HOLDER, holderWorkflowId } from '../../src/domain/names.ts';
import { payloadConverterPath } from '../../src/temporal/data-converter.ts';
import { type Lab, labOfFile, labOfTest, VIP } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';
import { answerWhen } from '../support/patience.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const lab = await labOfFile();
// As a worker has it: its errors are made by other code than those of the client's own connection.
const connection = await NativeConnection.connect({ address: temporal.address });
afterAll(() => connection.close());
const holders = holdersOver({ payloadConverterPath });

function holdersOver(dataConverter: DataConverter, taskQueue = lab.taskQueue) {
  const client = new Client({ connection, namespace: temporal.namespace, dataConverter });
  // No run wants these but the test.
  return createHolders(new TemporalSideWorkflows(client, taskQueue), () => undefined);
}

/** A codec that must be undone in the reverse order: it puts its mark before the data and takes it away again. */
function marking(mark: string): PayloadCodec {
  return {
    encode: async (payloads) =>
      payloads.map(({ metadata, data }) => ({
        metadata: { ...metadata },
        data: Buffer.concat([Buffer.from(mark), data ?? Buffer.alloc(0)]),
      })),
    decode: async (payloads) =>
      payloads.map(({ metadata, data }) => {
        expect(Buffer.from(data ?? []).toString('utf8', 0, mark.length)).toBe(mark);
        return { metadata: { ...metadata }, data: data?.subarray(mark.length) ?? null };
      }),
  };
}

const newId = (holder = '1') => holderWorkflowId(randomUUID().replaceAll('-', ''), holder);
const contentOf = (...users: string[]): PackedTriggers => ({
  audiences: [VIP.id],
  triggers: users.map((user) => [user, ['2020-10-14T13:27:33.916374949-07:00', 0, 1]]),
});
const statusOf = async (id: string) => (await lab.client.workflow.getHandle(id).describe()).status.name;

async function ends(id: string): Promise<void> {
  await lab.client.workflow.getHandle(id).result();
}

test('spilled triggers load as they were: every digit of an integer, every character', async () => {
  const id = newId();
  const content: PackedTriggers = {
    audiences: [VIP.id],
    triggers: [
      ['7076027172059065053', ['2020-10-14T13:27:33.916374949-07:00', 0, 1, { profile: '{"id":9007199254740993}' }]],
      ['zoë "Z"\n', ['2020-10-14T13:27:34Z', 0, 0, { redelivery: 2 }]],
    ],
  };
  await holders.spill(id, content);
  expect(await holders.load(id)).toEqual(content);
});

test('a holder needs no worker until it is dropped', async () => {
  const id = newId();
  await holders.spill(id, contentOf('asleep'));
  const handle = lab.client.workflow.getHandle(id);
  const begun = async () =>
    ((await handle.fetchHistory()).events ?? []).filter((event) => event.workflowTaskScheduledEventAttributes);
  // The worker of the lab takes up another one meanwhile.
  await lab.start();
  expect(await begun()).toEqual([]);
  expect(await statusOf(id)).toBe('RUNNING');
  await holders.drop([id]);
  await ends(id);
  expect(await begun()).toHaveLength(1);
});

test('spilling and loading need no worker, and codecs are undone on loading', async () => {
  const payloadCodecs = [marking('inner'), marking('outer')];
  const encoding = holdersOver({ payloadConverterPath, payloadCodecs }, `nobody-${randomUUID()}`);
  const id = newId();
  await encoding.spill(id, contentOf('1'));
  expect(await encoding.load(id)).toEqual(contentOf('1'));
  await expect(holders.load(id)).rejects.toThrow(`The content of ${id} cannot be read: `);
  await lab.client.workflow.getHandle(id).terminate();
});

test('nothing that is signalled to a holder breaks it, and cancelling it does not drop what it holds', async () => {
  const id = newId();
  await holders.spill(id, contentOf('1'));
  const handle = lab.client.workflow.getHandle(id);
  await handle.signal('nonsense', { any: 'thing' });
  // Its job says nothing more than that: this is meant for something else.
  await handle.signal('drop', { unexpected: ['argument'] }, 2);
  await handle.cancel();
  await handle.query('__stack_trace'); // Answered by a worker that has seen all of them.
  expect(await statusOf(id)).toBe('RUNNING');
  await handle.signal('drop');
  await ends(id);
});

const PEOPLE = 3000;

/** A holder that is what somebody made of it. */
async function replace({ client, taskQueue }: Lab, workflowId: string, content: object): Promise<void> {
  await client.workflow.getHandle(workflowId).terminate('somebody ended it');
  await client.workflow.start(HOLDER, { workflowId, taskQueue, args: [content] });
}

test('a job names an unreadable holder with the reason, and goes on once it is readable or deleted', async () => {
  // So small that a job needs many holders, and soon another run.
  const serverLimits = { payloadBytes: 64 * 1024, signalsPerRun: 200, eventsPerRun: 51_200 };
  const lab = await labOfTest({ config: { serverLimits } });
  const operator = new Operator(lab.taskQueue);
  const job = await lab.start({ parallelRequestCount: 50 });
  await lab.jobs.pause(job);
  const triggers = Array.from({ length: PEOPLE }, (_, i) => ({
    event: 'enter' as const,
    audience: 'vip',
    user: `person ${i}`,
    profile: {},
  }));
  await lab.jobs.push(job, triggers);
  const { subscriptionId } = await lab.statusWhen(job, ({ received }) => received === PEOPLE);
  await lab.statusWhen(job, ({ overflow }) => overflow > PEOPLE / 2);
  const second = holderWorkflowId(subscriptionId, '2');
  const workflows = new TemporalSideWorkflows(lab.client, lab.taskQueue);
  const content = (await workflows.inputOf(second)) as object;
  await replace(lab, second, { v: 99 });
  // The one behind it is deleted. The server takes half a minute for that.
  const third = holderWorkflowId(subscriptionId, '3');
  const lost = (await workflows.inputOf(third)) as { triggers: unknown[] };
  await lab.client.workflow.getHandle(third).terminate('deleted');
  await lab.client.workflowService.deleteWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: third },
  });
  await lab.jobs.resume(job);

  const troubled = await lab.statusWhen(job, ({ unreadableHolder }) => unreadableHolder !== undefined);
  expect(troubled).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/holder that cannot be read/),
    unreadableHolder: { holder: '2', reason: expect.stringMatching(/newer release/) },
  });
  expect(troubled.waiting).toBeGreaterThan(0);
  const shown = await operator.run(['status', job]);
  expect(unwrapped(shown.stdout)).toMatch(/holder 2 cannot be read .*triggers retry/);

  // What is signalled meanwhile waits behind it, and the job continues as new.
  const runOf = async () => (await lab.handle(job).describe()).runId;
  const run = await runOf();
  for (let i = 0; i < 25; i++) await lab.jobs.enter(job, { audience: 'vip', user: `late ${i}`, profile: {} });
  while ((await runOf()) === run) await new Promise((resolve) => setTimeout(resolve, 200));
  const still = await lab.statusWhen(job, ({ unreadableHolder }) => unreadableHolder?.holder === '2');

  // The job reads ahead, so it may have read the third before the server deleted it. A read of the second that fails drops that.
  await answerWhen(
    () => workflows.inputOf(third),
    (input) => input === undefined,
  );
  await lab.jobs.retry(job);
  const nextTryAt = still.unreadableHolder?.nextTryAt ?? '';
  await lab.statusWhen(job, ({ unreadableHolder }) => (unreadableHolder?.nextTryAt ?? '') > nextTryAt);

  // Its own content comes back.
  await replace(lab, second, content);
  expect((await operator.run(['retry', job])).code).toBe(0);
  // A signal that the client repeats while the job continues as new may count twice.
  const isSent = ({ received, delivered, waiting }: JobStatus) =>
    received >= PEOPLE + 25 && delivered === received - lost.triggers.length && waiting === 0;
  const after = await lab.statusWhen(job, isSent);
  expect(after).not.toHaveProperty('unreadableHolder');
  expect(after.notices).toEqual([expect.stringMatching(/^The holder 3 is gone/)]);
  // It is told that it is no longer needed a moment after its triggers are sent.
  await expect(lab.client.workflow.getHandle(second).result()).resolves.toBeUndefined();
});
