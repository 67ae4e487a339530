import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { until } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';

const MEMBERS = 8_000;
const STRANGERS = 1_500;

let folder: string;
let receiver: Receiver;
let jobs: ExportJobs;
const programs: Program[] = [];
const taskQueue = `reconcile-killed-${randomUUID()}`;
const audience = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
const numbered = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}-${i}`);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reconcile-killed-'));
  const source = join(folder, 'source', 'audiences');
  mkdirSync(source, { recursive: true });
  const { id, slug, name } = audience;
  const users = numbered('member', MEMBERS);
  // A person who is unknown would be waited for.
  const profiles = users.map((user) => `${JSON.stringify({ user, profile: { user } })}\n`);
  const lines = [JSON.stringify({ audience: { id, name } }), ...users.map((user) => `"${user}"`), ''];
  writeFileSync(join(source, `${slug}.ndjson`), lines.join('\n'));
  writeFileSync(join(folder, 'source', 'profiles.ndjson'), profiles.join(''));
  receiver = await startReceiver();
  const connection = { connectionOptions: { address: temporal.address }, namespace: temporal.namespace };
  jobs = await ExportJobs.connect({ taskQueue, connection });
});
afterAll(async () => {
  await Promise.all(programs.map((program) => program.kill()));
  await jobs.close();
  await receiver.close();
  rmSync(folder, { recursive: true });
});

/** A worker process. It may send to this machine. */
async function worker(): Promise<Program> {
  const config = join(folder, 'triggers.config.json');
  const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
  const source = { kind: 'file', folder: 'source' };
  // What a killed worker had in flight is judged after this and some seconds.
  const requestTimeoutMs = 2_000;
  writeFileSync(config, JSON.stringify({ source, watch: { folder: 'watch' }, network, requestTimeoutMs }));
  const program = startTriggers(['worker', '--config', config], { env: { TRIGGERS_TASK_QUEUE: taskQueue } });
  programs.push(program);
  await program.says(({ stdout }) => stdout.includes('Worker ready'));
  return program;
}

test('a worker that is killed while a difference is sent leaves nobody out, and sends nobody what is not so', async () => {
  const first = await worker();
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
  await worker();
  await until(async () => (await jobs.status(jobId)).backfill?.state === 'finished');
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
