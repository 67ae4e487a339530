import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { ExportJobs } from '../../src/client/export-jobs.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { type Receiver, startReceiver } from '../../src/local/receiver.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { startJsonServer } from '../sources/a-json-server.ts';
import { until } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';
import { type Program, startTriggers } from '../support/triggers-cli.ts';

const AUDIENCE = { id: randomUUID().replaceAll('-', ''), slug: `slug-${randomUUID()}`, name: 'Of one test' };
/** A run is to end from 50 events on. */
const LIMITS = { eventsPerRun: 5_000 };
/** Between two triggers. */
const PACE_MS = 40;
/** As long as a request of a dead worker may be open, with what a frozen machine may need to notice. */
const OVER_MS = 21_500;

let folder: string;
let receiver: Receiver;
let connection: Connection;
let client: Client;
let jobs: ExportJobs;
const programs: Program[] = [];
const taskQueue = `killed-worker-${randomUUID()}`;
/** When requests about a person came, epoch ms. */
const cameAt = new Map<string, number[]>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'killed-worker-'));
  receiver = await startReceiver({
    answer: ({ message }) => {
      const user = message?.user ?? '';
      const times = [...(cameAt.get(user) ?? []), Date.now()];
      cameAt.set(user, times);
      return user === 'in flight' && times.length === 1 ? { status: 200, delayMs: OVER_MS } : undefined;
    },
  });
  connection = await Connection.connect({ address: temporal.address });
  client = new Client({ connection, namespace: temporal.namespace, dataConverter: dataConverterWith([]) });
  jobs = new ExportJobs(client, { taskQueue });
});
afterAll(async () => {
  await Promise.all(programs.map((program) => program.kill()));
  await connection.close();
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
  };
  const network = { allowHttp: true, allowAddresses: ['127.0.0.0/8'] };
  writeFileSync(config, JSON.stringify({ source, network, serverLimits: LIMITS }));
  const program = startTriggers(['worker', '--config', config], { env: { TRIGGERS_TASK_QUEUE: taskQueue } });
  programs.push(program);
  await program.says(({ stdout }) => stdout.includes('Worker ready'));
  return program;
}

test('what a killed worker had in flight keeps no run from ending, and nobody is sent anything while it may be', async () => {
  const { url } = await startJsonServer(({ url }) => ({
    json: url.pathname === '/audiences' ? [AUDIENCE] : url.pathname.startsWith('/people/') ? {} : [],
  }));
  const first = await worker(url);
  const definition = { label: 'K', audiences: [AUDIENCE.slug], webhookUrl: receiver.url, authorization: null };
  const { jobId, runId } = await jobs.start(definition, { jobId: `killed-${randomUUID()}` });
  const signal = (user: string) => jobs.enter(jobId, { audience: AUDIENCE.slug, user, profile: {} });
  await signal('well');
  await until(() => cameAt.has('well'));
  await signal('in flight');
  await until(() => cameAt.has('in flight'));
  await first.kill();
  await worker(url);

  let n = 0;
  let nextRunAt = 0;
  while (nextRunAt === 0) {
    await Promise.all([signal(`other-${n++}`), setTimeout(PACE_MS)]);
    const { runId: now } = await client.workflow.getHandle(jobWorkflowId(jobId)).describe();
    if (now !== runId) nextRunAt = Date.now();
  }
  await until(() => (cameAt.get('in flight') ?? []).length === 2);
  const [sentAt = 0, againAt = 0] = cameAt.get('in flight') ?? [];
  expect(againAt - sentAt).toBeGreaterThan(OVER_MS - 500);
  expect(againAt - nextRunAt).toBeGreaterThan(3_000);
  await until(() => cameAt.has(`other-${n - 1}`));
});
