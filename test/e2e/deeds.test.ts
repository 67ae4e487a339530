import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import Database from 'libsql';
import type { LoggedDeed } from '../../src/contract/audit.ts';
import type { DeedFilter } from '../../src/features/delivery-log/deeds.ts';
import type { DecisionStatus } from '../../src/contract/dead-letter.ts';
import { newApiKey } from '../../src/config/references.ts';
import { deliveryLogIn } from '../../src/features/delivery-log/config.ts';
import { deadLetterWorkflowId } from '../../src/domain/names.ts';
import { watchWorkflowId } from '../../src/features/watch/sandbox/ports.ts';
import { openDeliveryReader } from '../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfFile, VIP } from '../support/lab.ts';
import { answerWhen, until } from '../support/patience.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { jsonLines, Operator } from '../support/triggers-cli.ts';
import { afterFile } from '../webhook/a-server.ts';

const folder = tempFolder();
const id = randomUUID().replaceAll('-', '');
/** For this file alone, since a watch signals to every listening job of the server. */
const WATCHED = { id, slug: `slug-${id}`, name: 'Watched' };
const lab = await labOfFile({
  config: { deliveryLog: deliveryLogIn(folder), watch: { folder: tempFolder() } },
  content: {
    audiences: [
      { ...VIP, members: [] },
      { ...WATCHED, members: [] },
    ],
  },
  receiver: { answer: ({ message }) => (message?.user.startsWith('per-son') ? { status: 422 } : undefined) },
});
const reader = openDeliveryReader({ folder }, sealingWith([]));
const otherFolder = tempFolder();
const otherReader = openDeliveryReader({ folder: otherFolder }, sealingWith([]));
afterFile(async () => {
  await reader.close();
  await otherReader.close();
});
const [all, few] = [newApiKey(), newApiKey()];
const own = `own-${randomUUID()}`;
const api = await apiOf(lab, {
  deliveries: reader,
  keys: {
    ops: { hash: all.hash, may: ['read', 'operate'] },
    few: { hash: few.hash, may: ['read', 'operate'], jobs: [own] },
  },
});
afterFile(() => api.close());
const config = join(tempFolder(), 'triggers.config.json');
writeFileSync(config, JSON.stringify({ deliveryLog: { folder } }));
const operator = new Operator(lab.taskQueue);

const as = (key: { readonly secret: string }) => ({ authorization: `Bearer ${key.secret}` });
const ask = async (path: string, body?: object, key = all) => await askOf(api, path, { body, headers: as(key) });
const AUDIENCES = { audiences: ['vip'] };

const inMs = (at: string): string => new Date(at).toISOString();

async function deeds(filter: DeedFilter, count: number): Promise<readonly LoggedDeed[]> {
  const { entries } = await answerWhen(
    async () => await reader.deeds(filter, 100),
    ({ entries }) => entries.length >= count,
  );
  return entries;
}

/** The arguments of each request to a workflow. */
async function requestsIn(workflowId: string): Promise<readonly unknown[][]> {
  const { events } = await lab.client.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).flatMap((event) => {
    const { signalName, input: signal } = event.workflowExecutionSignaledEventAttributes ?? {};
    const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.args;
    const input = signalName === 'asker' ? undefined : (signal ?? update);
    return input == null ? [] : [input.payloads ?? []];
  });
}

test('what is done to a job is in the log once, also when a worker without its state takes it over', async () => {
  const job = await lab.start(AUDIENCES);
  expect((await ask(`/v1/jobs/${job}/pause`, { reason: 'their database moves' })).status).toBe(200);
  const before = await deeds({ jobId: job }, 2);
  await lab.stopWorkers();
  // It replays everything first. In a log of its own it would show what it tells again.
  const other = await lab.addWorker({ deliveryLog: deliveryLogIn(otherFolder) });
  await lab.jobs.edit(job, { label: 'After' }, { by: { who: 'cron', door: 'client' } });
  await operator.run(['stop', job, '--waiting', 'discard', '--yes', '--reason', 'done with it']);
  await lab.statusWhen(job, ({ state }) => state === 'stopped');

  await lab.shutdown(other);
  await lab.addWorker();
  const { entries } = await otherReader.deeds({ jobId: job }, 100);
  const found = [...entries, ...before];
  expect(found.map(({ action, who, door, reason }) => [action, who, door, reason])).toEqual([
    ['stop', expect.stringContaining('@'), 'cli', 'done with it'],
    ['edit', 'cron', 'client', undefined],
    ['pause', 'ops', 'api', 'their database moves'],
    ['start', undefined, 'client', undefined],
  ]);
  const known = await lab.jobs.history(job);
  expect(found).toEqual(
    known.map((entry) => ({ kind: 'job', target: job, jobId: job, ...entry, at: inMs(entry.at), n: undefined })),
  );
});

test('a deed of a job has one id in all runs of the job: after one of 0.1.0, the next may tell all again', async () => {
  const job = await lab.start(AUDIENCES);
  const { runId } = await lab.handle(job).describe();
  await lab.jobs.stop(job, { waiting: 'keep' });
  await lab.statusWhen(job, ({ state }) => state === 'stopped');
  await answerWhen(
    async () => await lab.handle(job).describe(),
    (now) => now.runId !== runId,
  );
  await lab.jobs.resume(job);
  await deeds({ jobId: job }, 3);
  const log = new Database(join(folder, 'deliveries.db'));
  const ids = log.prepare('SELECT id FROM deeds WHERE job_id = ? ORDER BY id').all(job);
  log.close();
  expect(ids).toEqual(['1', '2', '3'].map((n) => ({ id: `${runId} ${n.padStart(9, '0')}` })));
});

test('decisions about dead letters and watches are in the log with who and why, and name no person', async () => {
  await lab.jobs.start(
    { label: 'Own', ...AUDIENCES, webhookUrl: lab.receiver.url, authorization: null },
    { jobId: own },
  );
  await lab.jobs.enter(own, { audience: 'vip', user: 'fine', profile: {} });
  // A new endpoint may refuse everything for a while.
  await lab.statusWhen(own, ({ delivered }) => delivered === 1);
  for (const user of ['per-son-1', 'per-son-2']) await lab.jobs.enter(own, { audience: 'vip', user, profile: {} });
  await lab.statusWhen(own, ({ deadLetters }) => deadLetters === 2);
  const [first, second] = (
    await answerWhen(
      async () => (await ask(`/v1/dead-letters?jobId=${own}`)).body as unknown as { deadLetters: { id: string }[] },
      ({ deadLetters }) => deadLetters.length === 2,
    )
  ).deadLetters.map((letter) => letter.id);
  const discarded = await ask(`/v1/dead-letters/${first}/discard`, { reason: 'unknown there' }, few);
  expect(discarded.body).toMatchObject({ done: 1 });
  await operator.run(['dead-letters', 'redeliver', second ?? '', '--force', '--yes', '--reason', 'fixed']);
  expect((await ask('/v1/watches', { audiences: [WATCHED.slug], everyMs: 3_600_000 })).status).toBe(200);
  const watching = async (...args: string[]) => await operator.run(['watch', WATCHED.slug, ...args]);
  await watching('--every', '2h', '--reason', 'too dear');
  await watching('--now');
  expect((await ask(`/v1/watches/${WATCHED.slug}/stop`, { reason: 'over' })).status).toBe(200);

  const told = await answerWhen(
    async () => (await reader.deeds({}, 100)).entries.filter(({ kind }) => kind !== 'job'),
    ({ length }) => length >= 6,
  );
  const person = expect.stringContaining('@');
  const letter = { kind: 'dead letter', jobId: own, at: expect.any(String) };
  const watch = { kind: 'watch', target: WATCHED.slug, at: expect.any(String) };
  const everyMs = { field: 'everyMs', from: 3_600_000, to: 7_200_000 };
  expect(told).toEqual([
    { ...watch, action: 'stop', who: 'ops', door: 'api', reason: 'over' },
    { ...watch, action: 'start-round', who: person, door: 'cli' },
    { ...watch, action: 'change', who: person, door: 'cli', reason: 'too dear', changes: [everyMs] },
    { ...watch, action: 'start', who: 'ops', door: 'api' },
    { ...letter, target: second, action: 'redeliver', who: person, door: 'cli', reason: 'fixed' },
    { ...letter, target: first, action: 'discard', who: 'few', door: 'api', reason: 'unknown there' },
  ]);
  expect(JSON.stringify(told)).not.toContain('per-son');
  // With a second argument, 0.1.0 would not replay them.
  for (const workflowId of [...[first, second].map((of = '') => deadLetterWorkflowId(of)), watchWorkflowId(WATCHED.id)])
    expect(Math.max(...(await requestsIn(workflowId)).map(({ length }) => length))).toBe(1);
});

/** An API that tells of decisions about many, and how far these are. */
async function tellingApi() {
  const told = new Map<string | undefined, LoggedDeed>();
  const telling = await apiOf(lab, { onDeed: (deed, key) => told.set(key, deed) });
  const decisions = async (): Promise<readonly DecisionStatus[]> => {
    const { body } = await askOf(telling, '/v1/decisions');
    return (body as unknown as { decisions: DecisionStatus[] }).decisions;
  };
  return { api: telling, told, decisions };
}

test('a decision about many goes on without its caller, and is one entry of the history; a trace still has each', async () => {
  const { api: telling, told, decisions } = await tellingApi();
  const job = await lab.start(AUDIENCES);
  await lab.jobs.enter(job, { audience: 'vip', user: 'fine', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  const users = Array.from({ length: 40 }, (_, i) => `per-son-many-${i}`);
  await lab.jobs.push(
    job,
    users.map((user) => ({ audience: 'vip', user, event: 'enter' as const, profile: {} })),
  );
  await lab.statusWhen(job, ({ deadLettersWaiting }) => deadLettersWaiting === 40);
  const body = { jobId: job, failure: 'HTTP 422', requestId: 'once', expected: 40, reason: 'a test list' };
  const begun = await askOf(telling, '/v1/dead-letters/discard?background=1', { body });
  expect(begun).toMatchObject({ status: 202, body: { state: 'running', letters: 40 } });
  const again = await askOf(telling, '/v1/dead-letters/discard?background=1', { body });
  expect(again.body).toMatchObject({ id: (begun.body as { id?: string }).id });
  const done = await answerWhen(decisions, ([one]) => one?.state !== 'running');
  expect(done).toMatchObject([{ state: 'done', done: 40, letters: 40, failures: [] }]);
  expect([...told.values()]).toMatchObject([
    { kind: 'dead letters', jobId: job, action: 'discard', reason: 'a test list', many: { letters: 40, done: 40 } },
  ]);
  const deliveryIds = lab.receiver.ledger.entries.flatMap(({ deliveryId, message }) =>
    deliveryId !== undefined && users.includes(message?.user ?? '') ? [deliveryId] : [],
  );
  const each = await deeds({ deadLettersOf: deliveryIds }, 40);
  expect(each.filter(({ action, reason }) => action === 'discard' && reason === 'a test list')).toHaveLength(40);
  expect((await deeds({ jobId: job }, 1)).map(({ kind }) => kind)).toEqual(['job']);
  await telling.close();
});

test('a decision ends with its API: what is done stays done, and all others wait', async () => {
  const { api: telling, told, decisions } = await tellingApi();
  const job = await lab.start(AUDIENCES);
  await lab.jobs.enter(job, { audience: 'vip', user: 'fine', profile: {} });
  await lab.statusWhen(job, ({ delivered }) => delivered === 1);
  await lab.jobs.push(
    job,
    Array.from({ length: 30 }, (_, i) => ({ audience: 'vip', user: `per-son-end-${i}`, event: 'enter', profile: {} })),
  );
  await lab.statusWhen(job, ({ deadLettersWaiting }) => deadLettersWaiting === 30);
  const body = { jobId: job, force: true, perSecond: 10 };
  await askOf(telling, '/v1/dead-letters/redeliver?background=1', { body });
  await answerWhen(decisions, ([one]) => (one?.done ?? 0) > 2);
  await telling.close();
  const done = [...told.values()][0]?.many?.done ?? 0;
  expect(done).toBeGreaterThan(2);
  expect(done).toBeLessThan(30);
  // Each is sent again once, and refused again: no trigger is lost, and none is sent twice.
  await lab.statusWhen(job, ({ deadLettersWaiting }) => deadLettersWaiting === 30);
  const sent = lab.receiver.ledger.entries.filter(({ message }) => message?.user.startsWith('per-son-end'));
  expect(sent).toHaveLength(30 + done);
});

test('the log is read by the command and the API, page by page, and a key for some jobs sees those alone', async () => {
  const page = async (query: string, key = all) =>
    (await ask(`/v1/history?${query}`, undefined, key)).body as unknown as { entries: LoggedDeed[]; next?: string };
  const gone = await lab.start(AUDIENCES);
  await lab.handle(gone).terminate('by hand');
  const later = await lab.start(AUDIENCES);
  for (const action of ['pause', 'resume', 'pause'] as const) await lab.jobs[action](later);
  await until(async () => (await lab.jobs.endings({ jobId: gone })).length === 1);
  await deeds({ jobId: later }, 4);
  const everything = await page('limit=1000');
  const ends = (entries: readonly LoggedDeed[]) => entries.filter(({ action }) => action === 'end');
  const end = { kind: 'job', target: gone, jobId: gone, door: 'temporal', reason: 'terminated: by hand' };
  expect(ends(everything.entries)).toMatchObject([end]);
  expect(ends((await page('limit=2')).entries)).toEqual([]);
  const first = await page('limit=2');
  const second = await page(`limit=1000&after=${first.next ?? ''}`);
  expect([...first.entries, ...second.entries]).toEqual(everything.entries);
  expect(second).not.toHaveProperty('next');
  expect((await page('who=few')).entries).toMatchObject([{ action: 'discard' }]);
  const seen = (await page('limit=1000', few)).entries;
  expect(seen.length).toBeGreaterThanOrEqual(3);
  expect(new Set(seen.map(({ jobId }) => jobId))).toEqual(new Set([own]));
  expect((await ask('/v1/history?jobId=other', undefined, few)).status).toBe(403);
  expect((await ask('/v1/history?after=nonsense')).status).toBe(422);

  const history = async (...args: string[]) =>
    await operator.run(['history', ...args], { env: { TRIGGERS_CONFIG: config } });
  expect(jsonLines((await history('--limit', '1000', '--json')).stdout)).toEqual(everything.entries);
  expect((await history('--who', 'few')).stdout).toMatch(/ few +api +dead letter .* discarded +unknown there\n/);
  expect(jsonLines((await history(own, '--since', '1h', '--json')).stdout)).toEqual(seen);
  expect((await history('--limit', '1')).stderr).toMatch(/newest 1;/);
  // Without options, the job itself answers.
  expect(jsonLines((await history(own, '--json')).stdout)).toMatchObject([{ n: 1, action: 'start' }]);
});
