import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { prepare } from '../../src/client/jobs/job-definition.ts';
import type { TraceEvent, TraceOptions } from '../../src/app/export-jobs.ts';
import { DEAD_LETTER, deadLetterWorkflowId, EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { WATCH_AUDIENCE } from '../../src/features/watch/sandbox/ports.ts';
import { labOfFile, labOfTest, membersOfVip } from '../support/lab.ts';
import { until } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';

const run = promisify(execFile);

const lab = await labOfFile();

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
  await lab.statusWhen('by-cli', ({ delivered }) => delivered === 1);
  const { stdout } = await cli('query', '--workflow-id', workflowId, '--name', 'status', '-o', 'json');
  expect(JSON.parse(stdout)).toMatchObject({ queryResult: [{ v: 1, jobId: 'by-cli', delivered: 1 }] });
  await cli('update', 'execute', '--workflow-id', workflowId, '--name', 'pause');
  expect((await lab.jobs.status('by-cli')).state).toBe('paused');
});

test('a job takes signals of several arguments from the temporal CLI or rejects them with a reason, never silently', async () => {
  const job = await lab.start();
  const inputs = (...values: unknown[]) => values.flatMap((value) => ['--input', JSON.stringify(value)]);
  const signal = (name: string, ...values: unknown[]) =>
    cli('signal', '--workflow-id', jobWorkflowId(job), '--name', name, ...inputs(...values));
  const person = (user: string) => ({ audience: 'vip', user, profile: {} });
  await signal('enter', person('two-1'), person('two-2'));
  await signal('exit', [person('list-1'), person('list-2')], person('list-3'));
  await signal('triggers', [{ event: 'enter', ...person('own-1') }], { event: 'exit', ...person('own-2') });
  await signal('enter', person('well-meant'), { force: true });
  await signal('page', {}, {});
  await signal('redeliver', {}, {});
  const status = await lab.statusWhen(job, ({ delivered }) => delivered === 8);
  expect(status).toMatchObject({ received: 8, rejected: 3 });
  expect(status.rejects.map(({ reason }) => reason)).toEqual([
    '"user" must be a string, it is missing',
    'a "page" signal with more than one argument',
    'a "redeliver" signal with more than one argument',
  ]);
});

test('a job refuses queries with surplus arguments, and fails when started with more than its definition', async () => {
  const job = await lab.start();
  const query = (name: string, ...values: string[]) =>
    cli('query', '--workflow-id', jobWorkflowId(job), '--name', name, ...values.flatMap((one) => ['--input', one]));
  await expect(query('status', '{"audience":"vip"}')).rejects.toThrow('takes no argument');
  await expect(query('person', '"ann"', '"bob"')).rejects.toThrow('takes one argument');
  await query('person', '"ann"');
  await query('status');

  const jobId = `surplus-${Date.now()}`;
  const definition = { label: 'X', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  const args = [definition, { exportFields: ['email'] }];
  const options = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args };
  const handle = await lab.client.workflow.start(EXPORT_JOB, options);
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'InvalidJob' } });
  expect(await lab.jobs.status(jobId)).toMatchObject({
    state: 'failed',
    problems: [{ message: expect.stringContaining('more than one argument') }],
  });
  await expect(lab.jobs.recover(jobId)).rejects.toMatchObject({ name: 'InvalidJob' });
});

test('a job that ends before it began loses no triggers and no existing users unless its stop says so', async () => {
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
    await expect(lab.jobs.stop('cancelled-early', { waiting: 'keep' })).rejects.toThrow('has not begun');
    expect((await lab.jobs.status('cancelled-early')).state).toBe('starting');
    await cancelled.cancel();
    await expect(cancelled.result()).rejects.toMatchObject({ cause: { type: 'JobNotBegun' } });

    const options = { workflowId: jobWorkflowId('existing-early'), taskQueue: lab.taskQueue };
    const existing = await lab.client.workflow.start(EXPORT_JOB, {
      ...options,
      args: [
        { label: 'e', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null, existingUsers: true },
      ],
    });
    await lab.statusWhen('existing-early', ({ state }) => state === 'starting');
    for (const waiting of ['deliver', 'keep'] as const)
      await expect(lab.jobs.stop('existing-early', { waiting })).rejects.toThrow('its existing users are waiting');
    await lab.jobs.stop('existing-early', { waiting: 'discard' });
    await existing.result();

    const dropped = await start('dropped-early', 'dropped');
    await lab.jobs.stop('dropped-early', { waiting: 'discard' });
    await dropped.result();
  } finally {
    lab.source.failure = undefined;
  }
  await lab.jobs.recover('cancelled-early');
  await lab.arrives('kept-for-recovery');
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === 'dropped')).toBe(false);
});

test('a job that is cancelled before its first task keeps its existing users, and sends them once it is resumed', async () => {
  const own = await labOfTest({ content: membersOfVip(['early']) });
  const definition = { label: 'e', audiences: ['vip'], webhookUrl: own.receiver.url, authorization: null };
  const prepared = await prepare(own.client, own.taskQueue, { ...definition, existingUsers: true });
  await own.stopWorkers();
  const jobId = `cancelled-${own.taskQueue}`;
  const handle = await own.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(jobId),
    taskQueue: own.taskQueue,
    args: [{ v: 1, ...prepared }],
  });
  await handle.cancel();
  await own.addWorker();
  await own.statusWhen(jobId, ({ state, kept }) => state === 'stopped' && kept !== undefined);
  await own.jobs.resume(jobId);
  await own.arrives('early');
});

test.each([
  ['without audiences', { audiences: undefined }],
  ['without limits', { serverLimits: undefined }],
  ['without a version', { v: undefined }],
])("a worker's answer %s is refused as a definition", async (_, change) => {
  const definition = { label: 'e', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  const prepared = await prepare(lab.client, lab.taskQueue, definition);
  const handle = await lab.client.workflow.start(EXPORT_JOB, {
    workflowId: `lab-${randomUUID()}`,
    taskQueue: lab.taskQueue,
    args: [{ v: 1, ...prepared, ...change }],
  });
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'InvalidJob' } });
});

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

test('a job started with a wrong definition says why it failed, and is not recovered with the mistakes left out', async () => {
  const jobId = `unknown-field-${Date.now()}`;
  const definition = { label: 'X', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  const args = [{ ...definition, exportField: ['email'], backfillPerSec: 1 }];
  const options = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args };
  const handle = await lab.client.workflow.start(EXPORT_JOB, options);
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'InvalidJob' } });

  const status = await lab.jobs.status(jobId);
  expect(status).toMatchObject({
    state: 'failed',
    problems: [
      { field: 'exportField', message: expect.stringContaining('"exportFields"') },
      { field: 'backfillPerSec', message: expect.stringContaining('"backfillPerSecond"') },
    ],
  });
  expect(status.reason).toContain('exportField: There is no such field. Did you mean "exportFields"?');
  expect(JSON.stringify(status)).not.toMatch(/recover it/i);
  expect(status).not.toHaveProperty('recoverableUntil');
  await expect(lab.jobs.recover(jobId)).rejects.toMatchObject({ name: 'InvalidJob', problems: status.problems });
  const paused: unknown = await lab.jobs.pause(jobId).catch((error: unknown) => error);
  expect(paused).toMatchObject({ name: 'JobNotRunning', remedies: [{ action: 'start' }] });
  await expect(lab.jobs.start(definition, { jobId })).resolves.toMatchObject({ jobId });
});

test('a job that only its worker refused stays recoverable, and recover says what the worker still lacks', async () => {
  const jobId = `not-yet-${Date.now()}`;
  const definition = { label: 'X', audiences: ['not-yet'], webhookUrl: lab.receiver.url, authorization: null };
  const options = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args: [definition] };
  const handle = await lab.client.workflow.start(EXPORT_JOB, options);
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'InvalidJob' } });
  expect(await lab.jobs.status(jobId)).toMatchObject({
    reason: expect.stringContaining('recover it'),
    problems: [{ field: 'audiences[0]' }],
    recoverableUntil: expect.any(String),
  });
  await expect(lab.jobs.recover(jobId)).rejects.toThrow('The source knows no audience "not-yet"');
});

test('no client can start a job in the place of the backfill of another', async () => {
  const definition = { label: 'X', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  const jobId = 'vip-backfill-2';
  const options = { workflowId: jobWorkflowId(jobId), taskQueue: lab.taskQueue, args: [definition] };
  const handle = await lab.client.workflow.start(EXPORT_JOB, options);
  const failure: unknown = await handle.result().catch((error: unknown) => error);
  expect(failure).toMatchObject({ cause: { type: 'InvalidJob', message: expect.stringContaining(jobId) } });
});

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
    ['', '{}'],
    ['binary/null', ''],
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
  expect(status.rejected).toBe(garbage.length - 1 + 4 + 5);
  expect(status.received).toBe(1);
  expect(status.rejects).toHaveLength(10);
  for (const { reason } of status.rejects) expect(reason.length).toBeLessThanOrEqual(200);
  const history = await handle.fetchHistory();
  expect(history.events?.filter((event) => event.workflowTaskFailedEventAttributes)).toEqual([]);
  expect(await traced('honest', { jobId: job })).toMatchObject([
    { kind: 'received', event: 'enter' },
    { kind: 'attempted', outcome: 'delivered' },
    { kind: 'stands' },
  ]);
});

async function traced(user: string, options: TraceOptions = {}): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  for await (const event of lab.jobs.trace(user, options)) events.push(event);
  return events;
}

test('a job or a dead letter of others that cannot be read costs only itself: all others are shown', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'beside-strangers', profile: {} });
  await lab.arrives('beside-strangers');
  // It never has a task, since it begins tomorrow.
  const options = { taskQueue: lab.taskQueue, startDelay: '1 day' } as const;
  const theirs = `of-others-${Date.now()}`;
  const theirLetter = `letter-${theirs}`;
  const handles = [
    await lab.client.workflow.start(EXPORT_JOB, {
      ...options,
      workflowId: jobWorkflowId(theirs),
      args: [{ v: 1, chains: 'theirs' }],
      memo: { audiences: 7, label: ['x'], kept: 'all' },
    }),
    await lab.client.workflow.start(DEAD_LETTER, {
      ...options,
      workflowId: deadLetterWorkflowId(theirLetter),
      memo: { job: { undecodablePayload: 'nobody can read this' } },
    }),
    await lab.client.workflow.start(WATCH_AUDIENCE, {
      ...options,
      workflowId: `theirs-${Date.now()}`,
      memo: { audience: { id: 'x'.repeat(2_000), slug: 'theirs', name: 'Theirs' } },
    }),
  ];
  try {
    const listed = (): Promise<boolean> => lab.jobs.list().then((all) => all.some(({ jobId }) => jobId === theirs));
    await until(listed);
    const events = await traced('beside-strangers');
    expect(events.filter(({ kind }) => kind === 'left-out')).toEqual([
      expect.objectContaining({ jobId: theirs, reason: expect.stringContaining('TypeError') }),
    ]);
    expect(events.filter(({ jobId }) => jobId === job).map(({ kind }) => kind)).toEqual([
      'received',
      'attempted',
      'stands',
    ]);
    const { jobs, leftOut } = await lab.jobs.people.places('beside-strangers');
    expect(jobs.map(({ jobId }) => jobId)).toEqual([job]);
    expect(leftOut.map(({ jobId }) => jobId)).toEqual([theirs]);
    expect((await lab.jobs.watches.list()).map(({ audience }) => audience.slug)).toContain('theirs');
    const letters: string[] = [];
    for await (const { id } of lab.jobs.deadLetters.list()) letters.push(id);
    expect(letters).toContain(theirLetter);
  } finally {
    for (const handle of handles) await handle.terminate();
  }
});
