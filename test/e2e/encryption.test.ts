import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { encode } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import proto from '@temporalio/proto';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { ExportJobs, type JobStatus, type JobSummary } from '../../src/app/export-jobs.ts';
import type { Audience } from '../../src/contract/audience.ts';
import { checkWatchOptions } from '../../src/features/watch/watch-options.ts';
import { WORKER_RPC, backfillWorkflowId, EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId, WATCH_AUDIENCE } from '../../src/features/watch/sandbox/ports.ts';
import { newWatch, watchPresentation } from '../../src/features/watch/sandbox/rounds.ts';
import { watchStatusQuery } from '../../src/features/watch/sandbox/messages.ts';
import { startRecorder } from '../../demo/recorder.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { labOfFile, NEWS, VIP } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { rawText } from '../support/raw-history.ts';
import { temporal } from '../support/temporal.ts';
import { jsonLines, Operator, startTriggers } from '../support/triggers-cli.ts';
import { aPayloadKey } from '../temporal/a-payload-key.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';
import { tempFolder } from '../support/temp-folder.ts';

const KEY = aPayloadKey('a');
const NEXT_KEY = aPayloadKey('b');
/** Stands in everything that nobody may read in Temporal. */
const SECRET = 's3cr3t';

let isEndpointUp = true;

const alerts = await startRecorder({ keepBodies: true });
afterFile(() => alerts.close());
const lab = await labOfFile({
  config: {
    payloadKeys: [KEY],
    requestTimeoutMs: 1000,
    alerts: { url: alerts.url, authorization: null, backlogMinutes: 15 },
  },
  content: {
    audiences: [
      { ...VIP, members: [`${SECRET}-member`] },
      { ...NEWS, members: [] },
    ],
    profiles: { [`${SECRET}-member`]: { email: `${SECRET}@example.com` } },
  },
  receiver: {
    answer: ({ message }) => {
      if (!isEndpointUp) return { status: 503, body: SECRET };
      return message?.user.endsWith('-refused') ? { status: 422, body: SECRET } : undefined;
    },
  },
});
const operator = new Operator(lab.taskQueue);
/** As a foreign program connects: it knows of no encryption. */
const foreign = new Client({ connection: lab.client.connection, namespace: temporal.namespace });

/** What a job of the lab is given: all of it is secret. */
const SECRET_JOB = { label: `${SECRET} label`, description: `${SECRET} description` };
const secretUser = (name: string) => `${SECRET}-${randomUUID()}-${name}`;
const clientWith = (...payloadKeys: string[]): Client =>
  new Client({
    connection: lab.client.connection,
    namespace: temporal.namespace,
    dataConverter: dataConverterWith(payloadKeys),
  });
const withKeys = (...keys: string[]) => ({ env: { TRIGGERS_PAYLOAD_KEYS: keys.join(',') } });

test('everything that a job does is done with encryption, and Temporal holds nothing of it that could be read', async () => {
  const job = await lab.start({ ...SECRET_JOB, webhookUrl: `${lab.receiver.url}${SECRET}`, existingUsers: true });
  await lab.arrives(`${SECRET}-member`);
  const user = secretUser('well');
  await lab.jobs.enter(job, { audience: 'vip', user, profile: { email: `${SECRET}@example.com` } });
  await lab.arrives(user);

  const refused = secretUser('refused');
  lab.source.enter(VIP.id, refused);
  await lab.jobs.enter(job, { audience: 'vip', user: refused, profile: { email: `${SECRET}@example.com` } });
  await lab.statusWhen(job, ({ deadLetters }) => deadLetters === 1);
  const letter = await deadLetterOf(job);
  expect(letter).toMatchObject({ user: refused, audience: 'vip', failure: 'HTTP 422' });
  const shown = await lab.jobs.deadLetters.show(letter.id);
  expect(shown).toMatchObject({
    user: refused,
    profile: { email: `${SECRET}@example.com` },
    failure: { answer: SECRET },
  });

  const { status } = await lab.jobs.edit(job, { label: `${SECRET} label anew` });
  expect(status).toMatchObject({ label: `${SECRET} label anew`, delivered: 2, deadLetters: 1 });
  await lab.jobs.pause(job);
  const waiting = secretUser('waiting');
  await lab.jobs.enter(job, { audience: 'vip', user: waiting, profile: {} });
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await lab.jobs.resume(job);
  await lab.arrives(waiting);

  await lab.jobs.pause(job);
  const recovered = secretUser('recovered');
  await lab.jobs.enter(job, { audience: 'vip', user: recovered, profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  await lab.handle(job).terminate('to be recovered');
  await lab.jobs.recover(job);
  await lab.jobs.resume(job);
  await lab.arrives(recovered);

  const wrong = lab.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(randomUUID()),
    taskQueue: lab.taskQueue,
    args: [{ ...SECRET_JOB, audiences: [`${SECRET}-audience`], webhookUrl: SECRET, authorization: SECRET }],
  });
  await expect((await wrong).result()).rejects.toMatchObject({
    cause: { type: 'InvalidJob', message: expect.stringContaining(SECRET) },
  });

  const held = await heldWith('Encoded failure', `TaskQueue = '${lab.taskQueue}'`);
  expect(held).toContain('binary/encrypted');
  expect(held).not.toContain(SECRET);
  expect(held).not.toContain(lab.receiver.url);
});

/** What the server holds of these workflows, as soon as it lists one that has this text. */
async function heldWith(text: string, query: string): Promise<string> {
  return await answerWhen(
    async () => await rawText(foreign, query),
    (held) => held.includes(text),
  );
}

/** Its dead letter, as soon as the server lists it. */
async function deadLetterOf(jobId: string) {
  for (;;) {
    for await (const letter of lab.jobs.deadLetters.list({ jobId })) return letter;
  }
}

test('the longest texts that lists show stay within what a server takes as a summary when they are encrypted', async () => {
  const jobId = randomUUID();
  const label = '長'.repeat(200);
  await lab.jobs.start(
    { label, audiences: ['news'], webhookUrl: lab.receiver.url, authorization: null, existingUsers: true },
    { jobId },
  );
  // What a new endpoint refuses is kept until it has taken something.
  await lab.jobs.enter(jobId, { audience: 'news', user: 'taken', profile: {} });
  await lab.statusWhen(jobId, ({ delivered }) => delivered === 1);
  const user = `${'長'.repeat(240)}-refused`;
  await lab.jobs.enter(jobId, { audience: 'news', user, profile: {} });
  await lab.statusWhen(jobId, ({ deadLetters, backfill }) => deadLetters === 1 && backfill?.state === 'finished');
  const letter = await deadLetterOf(jobId);
  expect(letter).toMatchObject({ user });
  const workflowId = jobWorkflowId(jobId);
  for (const id of [workflowId, backfillWorkflowId(workflowId, 1), `dead-letter-${letter.id}`]) {
    const { raw } = await lab.client.workflow.getHandle(id).describe();
    const summary = raw.executionConfig?.userMetadata?.summary;
    // A key id may have 31 letters more.
    expect(proto.temporal.api.common.v1.Payload.encode(summary ?? {}).finish().length + 31).toBeLessThanOrEqual(400);
    expect(summary?.data?.length).toBeGreaterThan(0);
  }
});

// wrong-keys.test.ts has what is said without them.
test('the command line has the keys of its own setting', async () => {
  const job = await lab.start(SECRET_JOB);
  const pushed = ['push', job, '--audience', 'vip', '--exit', '--user', secretUser('cli')];
  expect(await operator.run(pushed, withKeys(KEY))).toMatchObject({ code: 0, stderr: '' });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const folder = tempFolder();
  const TRIGGERS_CONFIG = join(folder, 'triggers.config.json');
  writeFileSync(TRIGGERS_CONFIG, JSON.stringify({ payloadKeys: ['${env:KEY}'] }));
  const ofFile = await operator.json<JobStatus>(['status', job], { env: { TRIGGERS_CONFIG, KEY } });
  expect(ofFile).toMatchObject(SECRET_JOB);
  await expect(listed(job)).resolves.toMatchObject({ ...SECRET_JOB, audiences: [{ slug: 'vip' }, { slug: 'news' }] });

  const wrong = await operator.run(['status', job, '--json'], withKeys('nonsense'));
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('TRIGGERS_PAYLOAD_KEYS is wrong') });
});

test.each([
  ['api', (TRIGGERS_CONFIG: string) => ({ args: ['api', '--port', '0'], env: { TRIGGERS_CONFIG } })],
  // The file of its own option, which no other command reads.
  [
    'up',
    (file: string) => ({ args: ['up', '--api-port', '0', '--config', file], env: { TRIGGERS_CONFIG: undefined } }),
  ],
])('the HTTP API of "triggers %s" encrypts with the keys of its configuration file', async (_name, started) => {
  const job = await lab.start(SECRET_JOB);
  const folder = tempFolder();
  const config = join(folder, 'of-the-api.json');
  mkdirSync(join(folder, 'audiences'));
  writeFileSync(join(folder, 'profiles.ndjson'), '');
  writeFileSync(config, JSON.stringify({ payloadKeys: [KEY], source: { kind: 'file', folder } }));
  const { args, env } = started(config);
  const api = startTriggers([...args, '--json'], { env: { TRIGGERS_TASK_QUEUE: randomUUID(), ...env } });
  const user = secretUser('by-the-api');
  try {
    await api.says(({ stdout }) => stdout.endsWith('\n'));
    const { apiUrl } = JSON.parse(api.stdout) as { readonly apiUrl: string };
    const { status } = await fetch(`${apiUrl}/v1/jobs/${job}/triggers`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ event: 'enter', audience: 'vip', user, profile: {} }),
    });
    expect(status).toBe(202);
  } finally {
    await api.kill();
  }
  await lab.arrives(user);
  const held = await heldWith('binary/encrypted', `WorkflowId = '${jobWorkflowId(job)}'`);
  expect(held).not.toContain(SECRET);
});

async function listed(job: string): Promise<JobSummary> {
  for (;;) {
    const { stdout } = await operator.run(['list', '--json'], withKeys(KEY));
    const found = jsonLines<JobSummary>(stdout).find(({ jobId }) => jobId === job);
    if (found !== undefined) return found;
  }
}

test('programs that do not encrypt signal plain JSON beside those that do; what was tampered with is counted and dropped', async () => {
  const job = await lab.start();
  const users = [secretUser('first'), `plain-${randomUUID()}`, secretUser('last')] as const;
  await lab.jobs.enter(job, { audience: 'vip', user: users[0], profile: {} });
  await foreign.workflow
    .getHandle(jobWorkflowId(job))
    .signal('enter', { audience: 'vip', user: users[1], at: '2026-11-25T08:30:00Z', profile: {} });
  const { loadedDataConverter } = lab.client.options;
  const [payload] = await encode(loadedDataConverter.payloadCodecs, [
    loadedDataConverter.payloadConverter.toPayload({ audience: 'vip', user: secretUser('changed') }),
  ]);
  for (const changed of [
    { ...payload, data: Buffer.from(payload?.data ?? []).fill(0, 20, 30) },
    { ...payload, data: Buffer.from('short') },
    // As another program's codec would encrypt, with a key of the same id.
    {
      metadata: { encoding: Buffer.from('binary/encrypted'), 'encryption-key-id': Buffer.from('a') },
      data: payload!.data!,
    },
  ]) {
    await foreign.workflowService.signalWorkflowExecution({
      namespace: temporal.namespace,
      workflowExecution: { workflowId: jobWorkflowId(job) },
      signalName: 'enter',
      input: { payloads: [changed] },
    });
  }
  await lab.jobs.enter(job, { audience: 'vip', user: users[2], profile: {} });
  for (const user of users) await lab.arrives(user);
  const { rejected, rejects } = await lab.jobs.status(job);
  expect(rejected).toBe(3);
  expect(rejects[0]?.reason).toMatch(/"a", but was changed since/);
  expect((await taskFailuresOf(job)).length).toBe(0);
});

/** What the job's workflow tasks failed with, as Temporal holds it. */
async function taskFailuresOf(job: string): Promise<string[]> {
  const { events } = await foreign.workflow.getHandle(jobWorkflowId(job)).fetchHistory();
  return (events ?? []).flatMap(({ workflowTaskFailedEventAttributes: failed }) =>
    failed == null ? [] : [failed.failure?.message ?? ''],
  );
}

/** A watch that its worker has answered for, an hour before its first round. */
async function startWatch(client: Client, audience: Audience): Promise<WorkflowHandle> {
  const options = checkWatchOptions({});
  if (!options.ok) throw new Error('The defaults are right.');
  const handle = await client.workflow.start(WATCH_AUDIENCE, {
    workflowId: watchWorkflowId(audience.id),
    taskQueue: lab.taskQueue,
    args: [{ ...newWatch(audience, options.value), nextAt: Date.now() + 3_600_000 }, { door: 'client' }],
    memo: watchPresentation({ audience }).memo,
  });
  await handle.query(watchStatusQuery);
  return handle;
}

test('a job that needs a key its workers lack says so in clear text, waits, and continues by itself', async () => {
  const other = await lab.start();
  const ahead = new ExportJobs(clientWith(NEXT_KEY, KEY), { taskQueue: lab.taskQueue });
  const job = `ahead-${randomUUID()}`;
  const definition = { label: 'x', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
  await clientWith(NEXT_KEY).workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(job),
    taskQueue: lab.taskQueue,
    args: [definition],
  });
  const users = [secretUser('early'), secretUser('late')] as const;
  await lab.jobs.enter(job, { audience: 'vip', user: users[0], profile: {} });
  let failures: string[] = [];
  while (failures.length === 0) failures = await taskFailuresOf(job);
  expect(failures[0]).toMatch(/encrypted with the key "b", which is not among the payload keys here \(a\)\. Add it/);
  const waitsFor = expect.stringContaining('encrypted with the key "b"');
  await expect(lab.jobs.status(job)).rejects.toMatchObject({ name: 'NoWorker', taskFailure: waitsFor });
  await answerWhen(
    () => alerts.ledger.entries.map(({ body }) => JSON.parse(String(body)) as { job: { id: string }; alert: string }),
    (raised) => raised.some((one) => one.job.id === job && one.alert === 'payload-key-missing'),
  );
  // The worker lives, and its other jobs go on.
  const elsewhere = secretUser('elsewhere');
  await lab.jobs.enter(other, { audience: 'vip', user: elsewhere, profile: {} });
  await lab.arrives(elsewhere);
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === users[0])).toBe(false);

  await lab.stopWorkers();
  await lab.addWorker({ payloadKeys: [KEY, NEXT_KEY] });
  await ahead.enter(job, { audience: 'vip', user: users[1], profile: {} });
  for (const user of users) await lab.arrives(user);
  const done = await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect(done).toMatchObject({ received: 2, rejected: 0 });

  // The rotation ends: the new key encrypts everywhere, and what the old one encrypted is still read.
  await lab.stopWorkers();
  await lab.addWorker({ payloadKeys: [NEXT_KEY, KEY] });
  await ahead.edit(job, { label: 'anew' });
  expect(await ahead.status(job)).toMatchObject({ label: 'anew', received: 2 });
  await expect(lab.jobs.status(job)).rejects.toThrow(/"b"/);
  expect((await ahead.list()).length).toBeGreaterThan(1);
  await lab.stopWorkers();
  await lab.addWorker();
});

test('a job refuses and shows requests in a key its workers lack, goes on, and never accepts them later', async () => {
  const job = await lab.start();
  const ahead = new ExportJobs(clientWith(NEXT_KEY, KEY), { taskQueue: lab.taskQueue });
  const users = [secretUser('first'), secretUser('refused'), secretUser('next'), secretUser('last')] as const;
  await lab.jobs.enter(job, { audience: 'vip', user: users[0], profile: {} });
  await lab.arrives(users[0]);
  for (const command of [
    () => ahead.backfill(job, { audiences: [VIP.id] }),
    () => ahead.backfill(job),
    () => ahead.stop(job, { waiting: 'discard' }),
  ])
    await expect(command()).rejects.toMatchObject({
      name: 'RequestRefused',
      reason: expect.stringMatching(
        /^Nothing was changed.*the key "b", which is not among the payload keys here \(a\)/,
      ),
    });
  // What a slug means is asked of a worker first, which cannot take that up.
  await expect(ahead.backfill(job, { audiences: ['vip'] })).rejects.toMatchObject({
    name: 'WorkerFailed',
    hasOtherKeys: true,
    reason: expect.stringMatching(/the key "b", which is not among the payload keys here \(a\)/),
  });
  const asked = clientWith(NEXT_KEY, KEY).workflow.getHandle(jobWorkflowId(job)).query('person', users[0]);
  await expect(asked).rejects.toThrow(/the key "b"/);
  for (const name of ['triggers', 'page', 'permitsReturned', 'redeliver', 'nonsense'])
    await clientWith(NEXT_KEY).workflow.getHandle(jobWorkflowId(job)).signal(name, { of: SECRET });
  const refused = ['enter', 'exit'].map((event) => ({ event, audience: 'vip', user: users[1], profile: {} }));
  await clientWith(NEXT_KEY).workflow.getHandle(jobWorkflowId(job)).signal('triggers', refused);
  await lab.jobs.enter(job, { audience: 'vip', user: users[2], profile: {} });
  await lab.arrives(users[2]);
  const { rejected, rejects, backfill } = await lab.statusWhen(job, ({ delivered }) => delivered === 2);
  expect({ rejected, backfill }).toEqual({ rejected: 6, backfill: undefined });
  expect(rejects.at(-1)?.reason).toMatch(/^a payload that cannot be read: .*with the key "b"/);

  // A worker that has the key by now decides as it was decided.
  await lab.stopWorkers();
  await lab.addWorker({ payloadKeys: [KEY, NEXT_KEY] });
  await ahead.enter(job, { audience: 'vip', user: users[3], profile: {} });
  await lab.arrives(users[3]);
  expect(await lab.statusWhen(job, ({ delivered }) => delivered === 3)).toMatchObject({ received: 3, rejected: 6 });
  expect(lab.receiver.ledger.entries.some(({ message }) => message?.user === users[1])).toBe(false);
  // So does a recovery, to which the signal would otherwise be two triggers.
  await lab.jobs.pause(job);
  const waiting = secretUser('waiting');
  await lab.jobs.enter(job, { audience: 'vip', user: waiting, profile: {} });
  await lab.statusWhen(job, (status) => status.waiting === 1);
  await lab.handle(job).terminate();
  await ahead.recover(job);
  await lab.jobs.resume(job);
  await lab.arrives(waiting);
  expect(await lab.statusWhen(job, ({ delivered }) => delivered === 4)).toMatchObject({ received: 4, rejected: 6 });
  await ahead.enter(job, { audience: 'vip', user: secretUser('needs the key'), profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 5);
  // And one that no longer has it waits: what it has accepted needs the key.
  const watched = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of this test' };
  const watch = await startWatch(clientWith(NEXT_KEY, KEY), watched);
  await lab.stopWorkers();
  await lab.addWorker();
  // The list of watches goes on, and says why one has no status.
  const unread = await answerWhen(
    async () => (await ahead.watches.list()).find(({ audience }) => audience.id === watched.id),
    // A question may first go to the worker that has just ended.
    (found) => found?.unreadable !== undefined,
  );
  expect(unread).toMatchObject({ status: undefined, unreadable: expect.stringContaining('the key "b"') });
  await watch.terminate();
  let failures: string[] = [];
  while (failures.length === 0) {
    await lab.jobs.enter(job, { audience: 'vip', user: users[0], at: '2026-11-25T08:30:00Z', profile: {} });
    failures = await taskFailuresOf(job);
  }
  expect(failures.join()).toMatch(/the key "b"/);
  await lab.handle(job).terminate();
});

test('an activity waits for a key that its worker does not have yet', async () => {
  const taskQueue = `keys-${randomUUID()}`;
  const workerWith = async (keys: string[], parts: Pick<WorkerOptions, 'workflowBundle' | 'activities'>) => {
    const { namespace } = temporal;
    return await Worker.create({ connection, namespace, taskQueue, dataConverter: dataConverterWith(keys), ...parts });
  };
  const connection = await NativeConnection.connect({ address: temporal.address });
  const activities = { prepareJob: async (definition: unknown) => definition };
  const workflows = await workerWith([NEXT_KEY, KEY], { workflowBundle: temporal.encryptingWorkflowBundle });
  const handle = await clientWith(NEXT_KEY).workflow.start(WORKER_RPC, {
    taskQueue,
    workflowId: randomUUID(),
    args: ['prepareJob', { label: 'x' }],
  });
  await workflows.runUntil(async () => {
    const withoutKey = await workerWith([KEY], { activities });
    await withoutKey.runUntil(async () => {
      let lastFailure: string | null | undefined;
      while (lastFailure == null) {
        const { raw } = await handle.describe();
        lastFailure = raw.pendingActivities?.[0]?.lastFailure?.message;
      }
      expect(lastFailure).toMatch(/encrypted with the key "b", which is not among the payload keys here \(a\)/);
    });
    const withKey = await workerWith([KEY, NEXT_KEY], { activities });
    await withKey.runUntil(async () => {
      await expect(handle.result()).resolves.toEqual({ label: 'x' });
    });
  });
  await connection.close();
});

test('a worker of the command line encrypts what its workflows fail with, too', async () => {
  const taskQueue = `cli-${randomUUID()}`;
  const TRIGGERS_SOURCE = fileURLToPath(new URL('../../examples/data', import.meta.url));
  const env = { TRIGGERS_TASK_QUEUE: taskQueue, TRIGGERS_PAYLOAD_KEYS: KEY, TRIGGERS_SOURCE };
  const worker = startTriggers(['worker'], { env });
  afterwards(() => worker.kill());
  await worker.says(({ stdout }) => stdout.startsWith('Worker ready'));
  const handle = await lab.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(randomUUID()),
    taskQueue,
    args: [{ ...SECRET_JOB, audiences: [`${SECRET}-audience`], webhookUrl: SECRET, authorization: null }],
  });
  await expect(handle.result()).rejects.toMatchObject({ cause: { message: expect.stringContaining(SECRET) } });
  const held = await heldWith('Encoded failure', `TaskQueue = '${taskQueue}'`);
  expect(held).not.toContain(SECRET);
});
