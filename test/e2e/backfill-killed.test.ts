import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { startJsonServer } from '../sources/a-json-server.ts';
import { temporal } from '../support/temporal.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';
import { until } from '../support/patience.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
const MEMBERS = ['one', 'two', 'three'];

let folder: string;
let receiver: Receiver;
let jobs: ExportJobs;
const programs: Program[] = [];
const taskQueue = `backfill-killed-${randomUUID()}`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backfill-killed-'));
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

async function worker(url: string): Promise<Program> {
  const config = join(folder, 'triggers.config.json');
  const source = {
    kind: 'http',
    url,
    audiences: { url: '/audiences', id: 'id', slug: 'slug', name: 'name' },
    members: { url: '/members/{audience}', maxLimit: 100 },
    profiles: { url: '/people/{user}' },
    timeoutMs: 15_000,
  };
  writeFileSync(config, JSON.stringify({ source, network: { allowHttp: true, allowAddresses: ['127.0.0.0/8'] } }));
  const program = startTriggers(['worker', '--config', config], { env: { TRIGGERS_TASK_QUEUE: taskQueue } });
  programs.push(program);
  await program.says(({ stdout }) => stdout.includes('Worker ready'));
  return program;
}

test('a page that a killed worker was reading is read by another within half a minute', async () => {
  let asksForPage = 0;
  const { url } = await startJsonServer(({ url }) => {
    if (url.pathname === '/audiences') return { json: [AUDIENCE] };
    if (url.pathname.startsWith('/people/')) return { json: {} };
    return ++asksForPage === 1 ? { hangs: true } : { json: MEMBERS };
  });
  const first = await worker(url);
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
  await first.kill();
  const killedAt = performance.now();
  await worker(url);
  await until(() => receiver.ledger.delivered === MEMBERS.length);
  expect(performance.now() - killedAt).toBeLessThan(30_000);
});
