import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { until } from '../support/patience.ts';
import { WorkerProcesses } from '../support/worker-processes.ts';

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
    { label: 'K', audiences: [audience.slug], webhookUrl: receiver.url, authorization: null, parallelRequestCount: 10 },
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
