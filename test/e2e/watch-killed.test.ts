import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { httpSource, WorkerProcesses } from '../support/worker-processes.ts';

const MEMBERS = 1_000;
const CHANGES = 15_000;

const CONFIG = { source: { kind: 'file', folder: 'source' }, watch: { folder: 'watch' } };

const audience = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };

const workers = await WorkerProcesses.open('watch-killed');
mkdirSync(join(workers.folder, 'source', 'audiences'), { recursive: true });
afterAll(async () => {
  await workers.jobs.watches.stop(audience.id).catch(() => undefined);
  await workers.close();
});

/** The source has these members from now on. */
function members(users: readonly string[]): void {
  const path = join(workers.folder, 'source', 'audiences', `${audience.slug}.ndjson`);
  const { id, name } = audience;
  const profiles = users.map((user) => `${JSON.stringify({ user, profile: { user } })}\n`).join('');
  writeFileSync(join(workers.folder, 'source', 'profiles.ndjson'), profiles);
  writeFileSync(
    `${path}.new`,
    [JSON.stringify({ audience: { id, name } }), ...users.map((user) => `"${user}"`), ''].join('\n'),
  );
  renameSync(`${path}.new`, path);
}

/** How many of a round's triggers each job is recorded to have; nothing before the first. */
function accepted(): Readonly<Record<string, number>> {
  const snapshots = join(workers.folder, 'watch', audience.id);
  const paths = readdirSync(snapshots).map((id) => join(snapshots, id, 'progress.json'));
  const path = paths.find((one) => existsSync(one));
  return path === undefined
    ? {}
    : (JSON.parse(readFileSync(path, 'utf8').split('\n')[0] ?? '') as Record<string, number>); // As it is written.
}

test('a worker killed while it tells a round loses none of its changes, and repeats the same ones', async () => {
  const before = Array.from({ length: MEMBERS }, (_, i) => `old-${i}`);
  members(before);
  const { jobs, receiver } = workers;
  const first = await workers.start(CONFIG);
  const started = await Promise.all(
    ['One', 'Two'].map((label) =>
      jobs.start(
        { label, audiences: [audience.slug], webhookUrl: receiver.url, authorization: null, parallelRequestCount: 50 },
        { jobId: `killed-${randomUUID()}` },
      ),
    ),
  );
  const ids = started.map(({ jobId }) => jobId);
  await until(async () => (await jobs.list()).filter(({ jobId }) => ids.includes(jobId)).length === 2);
  await jobs.watches.start([audience.slug], { everyMs: 3_600_000 });
  await until(async () => (await jobs.watches.status(audience.id)).rounds === 1);

  const after = Array.from({ length: CHANGES }, (_, i) => `new-${i}`);
  members([...before.slice(100), ...after]);
  await jobs.watches.startRound(audience.id);
  await until(() => Object.keys(accepted()).length > 0, 10);
  await first.kill();
  const noted = Object.values(accepted()).reduce((sum, count) => sum + count, 0);
  await workers.start(CONFIG);
  await until(async () => (await jobs.watches.status(audience.id)).rounds === 2);
  const status = await jobs.watches.status(audience.id);
  expect(status).toMatchObject({
    enters: CHANGES,
    exits: 100,
    members: MEMBERS - 100 + CHANGES,
    last: { published: { jobs: 2 } },
  });
  // The kill did interrupt it: a worker that is heard of no more is given up after 15 s.
  expect(status.last?.durationMs).toBeGreaterThan(10_000);

  const triggers = ids.length * (CHANGES + 100);
  await receiver.ledger.waitFor(({ delivered }) => delivered === triggers);
  expect(noted).toBeLessThan(triggers / 2);
  const times = new Map<string, number>();
  const seen = new Set<string>();
  for (const { message, deliveryId = '' } of receiver.ledger.entries) {
    if (message === undefined || seen.has(deliveryId)) continue;
    seen.add(deliveryId);
    const key = `${message.event} ${message.user}`;
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  // Each change once a job, and nothing else.
  expect(times.size).toBe(CHANGES + 100);
  expect(new Set(times.values())).toEqual(new Set([2]));
  for (const user of before.slice(0, 100)) expect(times.get(`exit ${user}`)).toBe(2);
});

describe('reconcile', () => {
  const MEMBERS = 8_000;
  const STRANGERS = 1_500;

  /** What a killed worker had in flight is judged after the request's time-out and some seconds. */
  const CONFIG = { source: { kind: 'file', folder: 'source' }, watch: { folder: 'watch' }, requestTimeoutMs: 2_000 };

  let workers: WorkerProcesses;
  const audience = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
  const numbered = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}-${i}`);

  beforeAll(async () => {
    workers = await WorkerProcesses.open('reconcile-killed');
    const { folder } = workers;
    const source = join(folder, 'source', 'audiences');
    mkdirSync(source, { recursive: true });
    const { id, slug, name } = audience;
    const users = numbered('member', MEMBERS);
    // A person who is unknown would be waited for.
    const profiles = users.map((user) => `${JSON.stringify({ user, profile: { user } })}\n`);
    const lines = [JSON.stringify({ audience: { id, name } }), ...users.map((user) => `"${user}"`), ''];
    writeFileSync(join(source, `${slug}.ndjson`), lines.join('\n'));
    writeFileSync(join(folder, 'source', 'profiles.ndjson'), profiles.join(''));
  });
  afterAll(async () => {
    await workers.close();
  });

  test('a worker that is killed while a difference is sent leaves nobody out, and sends nobody what is not so', async () => {
    const { jobs, receiver } = workers;
    const first = await workers.start(CONFIG);
    const { jobId } = await jobs.start(
      {
        label: 'K',
        audiences: [audience.slug],
        webhookUrl: receiver.url,
        authorization: null,
        parallelRequestCount: 10,
      },
      { jobId: `killed-${randomUUID()}` },
    );
    const half = numbered('member', MEMBERS / 2);
    const difference = await jobs.compare(jobId, [...half, ...numbered('stranger', STRANGERS)]);
    await jobs.reconcile(jobId, difference, { force: true });
    await receiver.ledger.waitFor(({ delivered }) => delivered > 300);
    await first.kill();
    const before = receiver.ledger.delivered;
    await workers.start(CONFIG);
    // On a busy machine nobody answers for a while.
    await until(async () => (await jobs.status(jobId).catch(() => undefined))?.backfill?.state === 'finished');
    expect(before).toBeLessThan(MEMBERS / 2 + STRANGERS);
    const told = new Set(receiver.ledger.entries.map(({ message }) => `${message?.event} ${message?.user}`));
    const due = [
      ...numbered('member', MEMBERS)
        .slice(MEMBERS / 2)
        .map((user) => `enter ${user}`),
      ...numbered('stranger', STRANGERS).map((user) => `exit ${user}`),
    ];
    expect([...told].sort()).toEqual(due.sort());
  });
});

describe('backfill', () => {
  const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
  const MEMBERS = ['one', 'two', 'three'];

  let workers: WorkerProcesses;
  beforeAll(async () => {
    workers = await WorkerProcesses.open('backfill-killed');
  });
  afterAll(async () => {
    await workers.close();
  });

  test('a page that a killed worker was reading is read by another within half a minute', async () => {
    let asksForPage = 0;
    const { url } = await startJsonServer(({ url }) => {
      if (url.pathname === '/audiences') return { json: [AUDIENCE] };
      if (url.pathname.startsWith('/people/')) return { json: {} };
      return ++asksForPage === 1 ? { hangs: true } : { json: MEMBERS };
    });
    const { jobs, receiver } = workers;
    const config = { source: { ...httpSource(url), timeoutMs: 15_000 } };
    const first = await workers.start(config);
    await jobs.start(
      {
        label: 'K',
        audiences: [AUDIENCE.slug],
        webhookUrl: receiver.url,
        authorization: null,
        existingUsers: true,
      },
      { jobId: `killed-${randomUUID()}` },
    );
    await until(() => asksForPage === 1);
    await workers.start(config);
    await first.kill();
    const killedAt = performance.now();
    await until(() => receiver.ledger.delivered === MEMBERS.length);
    expect(performance.now() - killedAt).toBeLessThan(30_000);
  });
});
