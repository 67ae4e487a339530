import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../support/patience.ts';
import { WorkerProcesses } from '../support/worker-processes.ts';

const MEMBERS = 1_000;
const CHANGES = 15_000;

const CONFIG = { source: { kind: 'file', folder: 'source' }, watch: { folder: 'watch' } };

let workers: WorkerProcesses;
const audience = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };

beforeAll(async () => {
  workers = await WorkerProcesses.open('watch-killed');
  mkdirSync(join(workers.folder, 'source', 'audiences'), { recursive: true });
});
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
function told(): Readonly<Record<string, number>> {
  const snapshots = join(workers.folder, 'watch', audience.id);
  const paths = readdirSync(snapshots).map((id) => join(snapshots, id, 'told.json'));
  const path = paths.find((one) => existsSync(one));
  return path === undefined
    ? {}
    : (JSON.parse(readFileSync(path, 'utf8').split('\n')[0] ?? '') as Record<string, number>); // As it is written.
}

test('a worker that is killed while it tells a round loses nothing of it, and what is told again is the same', async () => {
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
  await jobs.watches.scanNow(audience.id);
  await until(() => Object.keys(told()).length > 0, 10);
  await first.kill();
  const noted = Object.values(told()).reduce((sum, accepted) => sum + accepted, 0);
  await workers.start(CONFIG);
  await until(async () => (await jobs.watches.status(audience.id)).rounds === 2);
  const status = await jobs.watches.status(audience.id);
  expect(status).toMatchObject({
    enters: CHANGES,
    exits: 100,
    members: MEMBERS - 100 + CHANGES,
    last: { told: { jobs: 2 } },
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
