import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { openDeliveryReader } from '../../src/features/delivery-log/open-log.ts';
import type { TraceEvent, TraceOptions } from '../../src/app/export-jobs.ts';
import type { TriggerDied } from '../../src/features/trace/events.ts';
import type { DeliveryFilter, DeliveryRow } from '../../src/features/delivery-log/delivery.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';
import { apiOf, askOf } from '../api/an-api.ts';
import { labOfFile, membersOfVip } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { TestPostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { jsonLines, Operator } from '../support/triggers-cli.ts';

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
const postgres = await TestPostgres.start();
afterAll(async () => await postgres.server.stop());
const database = await postgres.database();
const reader = openDeliveryReader({ ...SETTINGS, url: database.url }, sealingWith([]));
afterFile(async () => await reader.close());

const seen = new Set<string>();
const lab = await labOfFile({
  config: { deliveryLog: { ...SETTINGS, url: database.url, retentionDays: 30, bodies: 'failed' } },
  content: membersOfVip(['member']),
  receiver: {
    answer: ({ message }) => {
      const user = message?.user ?? '';
      if (user.startsWith('refused')) return { status: 422, body: '{"error":"no such list"}' };
      if (user !== 'flaky' || seen.has(user)) return undefined;
      seen.add(user);
      return { status: 503 };
    },
  },
});

/** The rows of a search, oldest first, once there are so many. */
async function rows(filter: DeliveryFilter, count: number): Promise<DeliveryRow[]> {
  const { rows } = await answerWhen(
    async () => await reader.find(filter, 100),
    ({ rows }) => rows.length >= count,
  );
  return rows.toReversed();
}

test('each attempt is a row: what was sent and when, what came back, and how long it took', async () => {
  const job = await lab.start();
  for (const user of ['ada', 'refused', 'flaky']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  // A slice of members and signalled people is a live one, and so is a probe.
  await rows({ jobId: job }, 4);
  await lab.jobs.backfill(job);
  const found = await rows({ jobId: job }, 5);
  expect(found).toHaveLength(5);
  const of = (user: string) => found.filter((row) => row.user === user);
  const [ada] = of('ada');
  expect(ada).toMatchObject({
    jobId: job,
    audience: 'vip',
    event: 'enter',
    attempt: 1,
    verdict: 'delivered',
    status: 200,
    lane: 'live',
    worker: expect.stringMatching(/^\d+@/),
  });
  const arrived = lab.receiver.ledger.entries.find(({ message }) => message?.user === 'ada');
  expect(ada?.deliveryId).toBe(arrived?.deliveryId);
  expect(ada?.requestBytes).toBeGreaterThan(100);
  expect(ada?.durationMs).toBeGreaterThan(0);
  expect(of('member')).toMatchObject([{ verdict: 'delivered', lane: 'backfill' }]);
  expect(of('refused')).toMatchObject([{ verdict: 'refused', status: 422, answer: '{"error":"no such list"}' }]);
  const [details] = await reader.attempts(of('refused')[0]?.deliveryId ?? '');
  expect(details).toMatchObject({
    request: { method: 'POST', body: expect.stringContaining('"id":"refused"') },
    response: { body: '{"error":"no such list"}' },
  });
  // Of what was delivered, no request is kept.
  expect((await reader.attempts(ada?.deliveryId ?? ''))[0]).not.toHaveProperty('request');
  expect(of('flaky')).toMatchObject([
    { attempt: 1, verdict: 'transient', status: 503 },
    { attempt: 2, verdict: 'delivered', status: 200 },
  ]);
  expect(new Set(of('flaky').map(({ deliveryId }) => deliveryId)).size).toBe(1);
});

test('a trace by the log has statuses and durations, and what waits, without any history', async () => {
  const job = await lab.start();
  seen.delete('flaky');
  for (const user of ['flaky', 'refused']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  await rows({ jobId: job }, 3);
  await lab.statusWhen(job, ({ waiting }) => waiting === 0);
  const traced = async (user: string, more: TraceOptions = {}): Promise<TraceEvent[]> => {
    const events: TraceEvent[] = [];
    for await (const event of lab.jobs.trace(user, { log: reader, ...more })) events.push(event);
    return events;
  };
  const ofFlaky = await traced('flaky', { jobId: job });
  expect(ofFlaky).toMatchObject([
    { kind: 'attempted', attempt: 1, outcome: 'failed', verdict: 'transient', status: 503 },
    { kind: 'attempted', attempt: 2, outcome: 'delivered', status: 200, durationMs: expect.any(Number) },
    { kind: 'stands', standing: { waitingCount: 0 } },
  ]);
  expect(ofFlaky[0]).not.toHaveProperty('runId');
  const diedAs = async (state: string) =>
    await answerWhen(
      async () => (await traced('refused', { jobId: job })).find((event) => event.kind === 'died'),
      (event) => event?.kind === 'died' && event.state === state,
    );
  const letter = await diedAs('waiting');
  await lab.jobs.deadLetters.discard((letter as TriggerDied).deadLetterId, {
    by: { who: 'ops', door: 'api' },
    reason: 'a test',
  });
  // The log alone says who decided so.
  const decision = { at: expect.any(String), who: 'ops', door: 'api', reason: 'a test' };
  expect(await diedAs('discarded')).toEqual({ ...letter, at: expect.any(String), state: 'discarded', decision });
  // Another dead letter is ended in Temporal.
  await lab.jobs.enter(job, { audience: 'vip', user: 'refused too', profile: {} });
  const endedOf = async (state: string) =>
    await answerWhen(
      async () => (await traced('refused too', { jobId: job })).find((event) => event.kind === 'died'),
      (event) => event?.kind === 'died' && event.state === state,
    );
  const { deadLetterId } = (await endedOf('waiting')) as TriggerDied;
  await lab.client.workflow.getHandle(`dead-letter-${deadLetterId}`).terminate();
  await endedOf('terminated');
  // A job that never tried the person has no row.
  await lab.jobs.pause(job);
  await lab.jobs.enter(job, { audience: 'vip', user: 'waits', profile: {} });
  await lab.statusWhen(job, ({ waiting }) => waiting === 1);
  const waits = await answerWhen(
    async () => await traced('waits'),
    (events) => events.length > 0,
  );
  expect(waits).toMatchObject([{ kind: 'stands', jobId: job, standing: { state: 'paused', waitingCount: 1 } }]);
  expect(await traced('nobody')).toEqual([]);
  expect(await traced('flaky', { onlyJobs: ['another'] })).toEqual([]);
  await expect(traced('flaky', { jobId: 'no-such-job' })).rejects.toMatchObject({ name: 'JobNotFound' });

  const file = join(tempFolder(), 'triggers.config.json');
  writeFileSync(file, JSON.stringify({ deliveryLog: { url: database.url } }));
  const operator = new Operator(lab.taskQueue);
  const env = { TRIGGERS_CONFIG: file };
  const told = await operator.run(['trace', 'flaky', '--job', job], { env });
  expect(told.stdout).toMatch(/attempt 2: delivered, HTTP 200 in \d+ ms/);
  expect(told.stdout).not.toContain('received');
  expect(told.stderr).toContain('--histories');
  for (const args of [['deliveries'], ['stats'], ['history', '--limit', '5']]) {
    const [name = '', ...options] = args;
    const misspelt = await operator.run([name, `${job}x`, '--until', '2099-01-01T00:00:00Z', ...options], { env });
    expect(misspelt).toMatchObject({ code: 0, stderr: expect.stringContaining(`There is no job "${job}x".`) });
  }
  const json = await operator.run(['trace', 'flaky', '--job', job, '--json'], { env });
  expect(jsonLines(json.stdout)).toMatchObject(ofFlaky.slice(0, 2).concat([{ kind: 'stands' } as TraceEvent]));
  const whole = await operator.run(['trace', 'flaky', '--job', job, '--histories'], { env });
  expect(whole.stdout).toContain('received');
  expect(whole.stderr).not.toContain('--histories');
  const away = join(tempFolder(), 'triggers.config.json');
  writeFileSync(away, JSON.stringify({ deliveryLog: { url: 'postgres://127.0.0.1:1/log' } }));
  const without = await operator.run(['trace', 'flaky', '--job', job], { env: { TRIGGERS_CONFIG: away } });
  expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining('--histories') });
});

test('the API traces by the log, unless it is asked for histories, and says what a job does now', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'eve', profile: {} });
  await rows({ jobId: job }, 1);
  const api = await apiOf(lab, { deliveries: reader });
  afterwards(async () => await api.close());
  const kinds = async (query: string) => {
    const { body } = await askOf(api, `/v1/trace?user=eve&jobId=${job}${query}`);
    const { from, isPartial } = body as unknown as { from: string; isPartial: boolean };
    expect('gaps' in body).toBe(from === 'log');
    return [from, isPartial, ...body.events.map((event) => (event as TraceEvent).kind)];
  };
  expect(await kinds('')).toEqual(['log', false, 'attempted', 'stands']);
  expect(await kinds('&histories=1')).toEqual(['histories', false, 'received', 'attempted', 'stands']);
  expect((await askOf(api, `/v1/stats?jobId=${job}`)).body).toMatchObject({ now: { inFlight: 0, waiting: 0 } });
  expect((await askOf(api, '/v1/stats')).body).not.toHaveProperty('now');
});

test('triggers deliveries finds what failed, by job and by the beginning of a webhook-id', async () => {
  const job = await lab.start();
  for (const user of ['bob', 'refused']) await lab.jobs.enter(job, { audience: 'vip', user, profile: {} });
  const [row] = await rows({ jobId: job, verdict: 'failed' }, 1);
  await rows({ jobId: job }, 2);
  const file = join(tempFolder(), 'triggers.config.json');
  writeFileSync(file, JSON.stringify({ deliveryLog: { url: database.url } }));
  const operator = new Operator(lab.taskQueue);
  const deliveries = async (...args: string[]) =>
    await operator.run(['deliveries', ...args], { env: { TRIGGERS_CONFIG: file } });
  const { code, stdout } = await deliveries(job, '--verdict', 'failed');
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(2);
  expect(stdout).toMatch(/refused 422 .* enter +vip +refused +1 /);
  const byId = await deliveries('--id', row?.deliveryId.slice(0, 12) ?? '', '--json');
  expect(jsonLines(byId.stdout)).toEqual([row]);
  const csv = await deliveries(job, '--csv');
  expect(csv.stdout.trim().split('\n')).toHaveLength(3);
  const shown = await deliveries('show', row?.deliveryId ?? '');
  expect(shown.stdout).toMatch(/POST http.*webhook-id: .*"id":"refused".*content-length: .*"error":"no such list"/s);
  const stats = await operator.run(['stats', job], { env: { TRIGGERS_CONFIG: file } });
  expect(stats.stdout).toMatch(/\n\d{4}-\d\d-\d\d \d\d:\d\d +1 +1 .*422/);
  expect(stats.stderr).toMatch(/^Now: 0 requests in flight, 0 triggers waiting\.\nThe log begins at /);
  const counted = await operator.run(['stats', job, '--json'], { env: { TRIGGERS_CONFIG: file } });
  expect(jsonLines(counted.stdout)).toMatchObject([{ total: { delivered: 1 }, now: { inFlight: 0, waiting: 0 } }]);
  expect(await deliveries('show', 'nonenone')).toMatchObject({ code: 1, stdout: '' });
  expect(await deliveries(job, '--user', 'nobody')).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/^The log begins at .*\nThere is no such delivery\.\n$/),
  });
});

test('triggers deliveries, stats, trace and replay say on stderr when rows may be missing in the time searched', async () => {
  const job = await lab.start();
  await lab.jobs.enter(job, { audience: 'vip', user: 'gap', profile: {} });
  const [row] = await rows({ jobId: job }, 1);
  await database.query(
    `INSERT INTO delivery_writers VALUES ('9@gone 0f', now() - interval '1 h', now() - interval '2 min', 1, 1, 0)`,
  );
  const file = join(tempFolder(), 'triggers.config.json');
  writeFileSync(file, JSON.stringify({ deliveryLog: { url: database.url } }));
  const operator = new Operator(lab.taskQueue);
  const run = async (...args: string[]) => await operator.run(args, { env: { TRIGGERS_CONFIG: file } });
  const found = await run('deliveries', job, '--json');
  expect(jsonLines(found.stdout)).toEqual([row]);
  const others = [
    ['deliveries', job],
    ['stats', job],
    ['trace', 'gap'],
    ['replay', job, '--since', '1h', '--dry-run'],
  ];
  expect(found.stderr).toContain('9@gone');
  for (const args of others) expect((await run(...args)).stderr).toContain('9@gone');
  const before = new Date(Date.now() - 5 * 60_000).toISOString();
  expect((await run('deliveries', job, '--until', before)).stderr).not.toContain('9@gone');
});
