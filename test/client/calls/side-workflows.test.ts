import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import { connect } from '../../support/connection.ts';
import { TemporalSideWorkflows } from '../../../src/client/calls/side-workflows.ts';
import { payloadConverterPath } from '../../../src/temporal/data-converter.ts';
import { temporal } from '../../support/temporal.ts';

const connection = await connect(temporal.address);
afterAll(() => connection.close());
const client = new Client({ connection, namespace: temporal.namespace, dataConverter: { payloadConverterPath } });
const workflows = new TemporalSideWorkflows(client, `nobody-${randomUUID()}`);

const side = (more: object = {}) => ({
  type: 'holder',
  workflowId: randomUUID(),
  input: { of: 'first' },
  summary: 'S',
  ...more,
});

test('a search attribute that the namespace lacks does not keep a workflow from starting', async () => {
  const attributes = [
    { key: { name: 'OfALaterRelease', type: 'KEYWORD' }, value: 'x' },
    { key: { name: 'ExportJobId', type: 'KEYWORD' }, value: 'crm' },
  ] as const;
  const workflow = side({ attributes, memo: { kept: 1 } });
  await workflows.start(workflow);
  const { memo, status } = await client.workflow.getHandle(workflow.workflowId).describe();
  expect([status.name, memo]).toEqual(['RUNNING', { kept: 1 }]);
});

test('a start that the server refuses for another reason is an error', async () => {
  const attributes = [{ key: { name: 'ExportJobId', type: 'KEYWORD' }, value: 'crm' }] as const;
  await expect(workflows.start(side({ workflowId: 'x'.repeat(5000), attributes }))).rejects.toThrow();
});

test('a workflow that exists stays, even if another is started with its id', async () => {
  const first = side();
  await workflows.start(first);
  await workflows.start({ ...first, input: { of: 'second' } });
  expect(await workflows.inputOf(first.workflowId)).toEqual({ of: 'first' });
  await client.workflow.getHandle(first.workflowId).terminate();
  await workflows.start({ ...first, input: { of: 'second' } });
  expect(await workflows.inputOf(first.workflowId)).toEqual({ of: 'first' });
});

test('a renewal starts an ended workflow again, unless its input is the same', async () => {
  const first = side({ input: { of: 'first', id: 9007199254740993n }, renews: 'ended' });
  await workflows.start(first);
  await client.workflow.getHandle(first.workflowId).terminate();
  await workflows.start(first);
  expect((await client.workflow.getHandle(first.workflowId).describe()).status.name).toBe('TERMINATED');
  await workflows.start({ ...first, input: { of: 'second' } });
  expect((await client.workflow.getHandle(first.workflowId).describe()).status.name).toBe('RUNNING');
  await workflows.start({ ...first, input: { of: 'third' } });
  expect(await workflows.inputOf(first.workflowId)).toEqual({ of: 'second' });
});

test('a renewed workflow has the input that was given last, whether its earlier run is open or ended', async () => {
  const first = side({ renews: 'all' });
  await workflows.start(first);
  const { runId } = await client.workflow.getHandle(first.workflowId).describe();
  await workflows.start(first);
  expect((await client.workflow.getHandle(first.workflowId).describe()).runId).toBe(runId);
  await workflows.start({ ...first, input: { of: 'second' } });
  expect(await workflows.inputOf(first.workflowId)).toEqual({ of: 'second' });
  await client.workflow.getHandle(first.workflowId).terminate();
  await workflows.start({ ...first, input: { of: 'second' } });
  expect((await client.workflow.getHandle(first.workflowId).describe()).status.name).toBe('RUNNING');
});

test('a run that was reset meanwhile cannot replace what the new run keeps under the same id', async () => {
  const job = { type: 'exportJob', workflowId: randomUUID(), input: {}, summary: 'S' };
  await workflows.start(job);
  const by = {
    workflowId: job.workflowId,
    runId: (await client.workflow.getHandle(job.workflowId).describe()).runId,
  };
  const holder = side({ renews: 'all' });
  await workflows.start({ ...holder, by, input: { of: 'the old run, before' } });
  // As a reset does: the old run ends, and another one has its id.
  await workflows.start({ ...job, input: { anew: true }, renews: 'all' });
  await workflows.start({ ...holder, input: { of: 'the new run' } });
  await expect(workflows.start({ ...holder, by, input: { of: 'the old run, late' } })).rejects.toThrow('has ended');
  await expect(workflows.start({ ...holder, by, workflowId: randomUUID() })).rejects.toThrow('has ended');
  expect(await workflows.inputOf(holder.workflowId)).toEqual({ of: 'the new run' });
});

test('a workflow that the server does not know has no input, and counts as dropped', async () => {
  expect(await workflows.inputOf(randomUUID())).toBeUndefined();
  await workflows.drop(randomUUID());
});

test('a server that is not there is an error, not a workflow that is not there', async () => {
  const gone = await connect(temporal.address);
  const elsewhere = new TemporalSideWorkflows(new Client({ connection: gone, namespace: temporal.namespace }), 'q');
  await gone.close();
  await expect(elsewhere.inputOf('any')).rejects.toThrow();
  await expect(elsewhere.drop('any')).rejects.toThrow();
});

test('dropping profiles releases the running profile holders of a job that started before a time, and no others', async () => {
  const jobId = `crm_${randomUUID()}`;
  const named = (job: string, n: number) => `profiles-${job}-h${String(n).padStart(15, '0')}`;
  const own = Array.from({ length: 20 }, (_, n) => named(jobId, n));
  const ended = named(jobId, 20);
  // To SQL, _ is any character; the ids of jobs may begin alike; and holders of triggers have other names.
  const others = [
    named(jobId.replace('_', '-'), 0),
    named(`${jobId}-2`, 0),
    `profiles-${jobId}-h00`,
    `x${named(jobId, 0)}`,
  ];
  for (const workflowId of [...own, ended, ...others]) await workflows.start(side({ workflowId, sleepsDays: 1 }));
  await client.workflow.getHandle(ended).terminate();
  const isReleased = async (workflowId: string) => {
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    return events?.some((event) => event.workflowExecutionSignaledEventAttributes != null) ?? false;
  };
  const dropped = async () => {
    const all = [...own, ended, ...others];
    const are = await Promise.all(all.map(isReleased));
    return all.filter((_, i) => are[i]);
  };

  await workflows.dropProfiles(jobId, Date.now() - 60_000);
  expect(await dropped()).toEqual([]);
  // The server lists what it has with a delay.
  const deadline = Date.now() + 20_000;
  do {
    await workflows.dropProfiles(jobId, Date.now() + 60_000);
  } while ((await dropped()).length < own.length && Date.now() < deadline);
  expect(await dropped()).toEqual(own);
});
