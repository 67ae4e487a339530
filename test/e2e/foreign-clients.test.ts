import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';
import { temporal } from '../support/temporal.ts';

const run = promisify(execFile);
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
});
afterAll(async () => lab.close());

function cli(...args: string[]) {
  return run(temporal.cliPath, ['workflow', ...args, '--address', temporal.address]);
}

test('a job may be started, signalled, asked and paused by the temporal command line alone', async () => {
  const workflowId = jobWorkflowId('by-cli');
  const definition = { label: 'By hand', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  await cli(
    'start',
    '--type',
    EXPORT_JOB,
    '--task-queue',
    lab.taskQueue,
    '--workflow-id',
    workflowId,
    '--input',
    JSON.stringify(definition),
  );
  const trigger = { audience: 'vip', user: 'by-cli', at: '2026-11-25T08:30:00.000000001Z', profile: { n: 1 } };
  await cli('signal', '--workflow-id', workflowId, '--name', 'enter', '--input', JSON.stringify(trigger));
  await lab.arrives('by-cli');
  const { stdout } = await cli('query', '--workflow-id', workflowId, '--name', 'status', '-o', 'json');
  expect(JSON.parse(stdout)).toMatchObject({ queryResult: [{ v: 1, jobId: 'by-cli', delivered: 1 }] });
  await cli('update', 'execute', '--workflow-id', workflowId, '--name', 'pause');
  expect((await lab.jobs.status('by-cli')).state).toBe('paused');
});

test('a job that is ended before it began loses no trigger that waits for it, unless whoever stops it says so', async () => {
  const start = async (jobId: string, user: string) => {
    const definition = { label: jobId, audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
    const options = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args: [definition] };
    const handle = await lab.client.workflow.start(EXPORT_JOB, options);
    await lab.jobs.enter(jobId, { audience: 'vip', user, profile: {} });
    await lab.statusWhen(jobId, ({ state, waiting }) => state === 'starting' && waiting === 1);
    return handle;
  };
  lab.source.failure = new Error('The source is down.');
  try {
    const cancelled = await start('cancelled-early', 'kept-for-recovery');
    await expect(lab.jobs.stop('cancelled-early', { waiting: 'keep' })).rejects.toThrow('--waiting discard');
    expect((await lab.jobs.status('cancelled-early')).state).toBe('starting');
    await cancelled.cancel();
    await expect(cancelled.result()).rejects.toMatchObject({ cause: { type: 'JobNotBegun' } });

    const dropped = await start('dropped-early', 'dropped');
    await lab.jobs.stop('dropped-early', { waiting: 'discard' });
    await dropped.result();
  } finally {
    lab.source.failure = undefined;
  }
  await lab.jobs.recover('cancelled-early');
  await lab.arrives('kept-for-recovery');
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === 'dropped')).toBe(false);
}, 90_000);

test('curl signals a job over the HTTP API of the server', async () => {
  const job = await lab.start();
  const url = `${temporal.httpUrl}/api/v1/namespaces/default/workflows/${jobWorkflowId(job)}/signal/exit`;
  await run('curl', [
    '-sS',
    '--fail',
    '-X',
    'POST',
    url,
    '-H',
    'content-type: application/json',
    '-d',
    '{"input":[{"audience":"vip","user":"by-curl"}]}',
  ]);
  await lab.arrives('by-curl');
});

test('a definition that is wrong fails the workflow with every problem, once', async () => {
  const handle = await lab.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(`wrong-${Date.now()}`),
    taskQueue: lab.taskQueue,
    args: [{ label: '', audiences: ['vpi'], webhookUrl: 'nonsense', authorization: null }],
  });
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'InvalidJob' } });
});

test('garbage in an update never fails a workflow task: it is refused, and changes nothing', async () => {
  const job = await lab.start();
  for (const [update, argument, type] of [
    ['backfill', { audiences: [{ toString: 1 }] }, 'InvalidBackfill'],
    ['backfill', { audiences: ['nobody-knows'] }, 'InvalidBackfill'],
    ['backfill', { action: { toString: 1 } }, 'InvalidBackfill'],
    ['backfill', { sample: 1e300 }, 'InvalidBackfill'],
    ['edit', [], 'InvalidEdit'],
    ['stop', { waiting: { toString: 1 } }, 'InvalidStop'],
    ['stop', { deadlineMs: 1e300 }, 'InvalidStop'],
  ] as const)
    await expect(lab.handle(job).executeUpdate(update, { args: [argument] })).rejects.toMatchObject({
      cause: { type },
    });
  expect(await lab.jobs.status(job)).toMatchObject({ state: 'running', revision: 1 });
}, 30_000);

test('garbage in a signal never fails a workflow task: it is counted, kept with its reason, and dropped', async () => {
  const job = await lab.start();
  const handle = lab.handle(job);
  const garbage: unknown[] = [
    null,
    7,
    'text',
    true,
    [],
    {},
    [[]],
    { audience: 'vip' },
    { audience: 'vip', user: 7076027172059065053n },
    { audience: 'nobody-knows', user: 'x' },
    { audience: 'vip', user: 'x', at: 'yesterday' },
    { audience: 'vip', user: 'x', profile: 'text' },
    { audience: 'vip', user: 'x'.repeat(256) },
    { audience: 'vip', user: 'x', profile: { text: 'x'.repeat(70_000) } },
    { __proto__: null, audience: 'vip', user: '\ud800' },
  ];
  for (const one of garbage) await handle.signal('enter', one);
  await handle.signal('triggers', [{ audience: 'vip', user: 'x', event: 'left' }]);
  await handle.signal('entr', { audience: 'vip', user: 'typo' });
  await handle.signal('enter');
  await handle.signal('page', { nonsense: true });
  await handle.signal('permitsReturned', 'nonsense');
  // Payloads that are no JSON at all, and one of an encoding that nobody knows.
  for (const [encoding, data] of [
    ['json/plain', '{"broken'],
    ['json/plain', '\xff\xfe'],
    ['secret/unknown', 'x'],
  ] as const) {
    await lab.client.workflowService.signalWorkflowExecution({
      namespace: temporal.namespace,
      workflowExecution: { workflowId: jobWorkflowId(job) },
      signalName: 'enter',
      input: { payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from(data, 'latin1') }] },
    });
  }
  await handle.signal('enter', { audience: 'vip', user: 'honest', profile: {} });
  await lab.arrives('honest');
  const status = await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  // All but the empty array, which says nothing, and the permits of no slice.
  expect(status.rejected).toBe(garbage.length - 1 + 4 + 3);
  expect(status.received).toBe(1);
  expect(status.rejects).toHaveLength(10);
  for (const { reason } of status.rejects) expect(reason.length).toBeLessThanOrEqual(200);
  const history = await handle.fetchHistory();
  expect(history.events?.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
});
