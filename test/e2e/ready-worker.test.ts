import { DESCRIBE_WORKER } from '../../src/features/doctor/ports.ts';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, type WorkflowClientInterceptor } from '@temporalio/client';
import { writeSampleSource } from '../../demo/sample-data.ts';
import { NoWorker, WorkerFailed } from '../../src/client/calls/errors.ts';
import { workerRpc } from '../../src/client/jobs/worker-rpc.ts';
import { WORKER_RPC } from '../../src/domain/names.ts';
import { freePort } from '../../src/network/free-ports.ts';
import { SourceError } from '../../src/activities/audience-source.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen, until } from '../support/patience.ts';
import { startTightServer } from '../support/tight-server.ts';
import { Operator, type Program, startTriggers } from '../support/triggers-cli.ts';
import { Way } from '../support/way.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = tempFolder();
const source = join(folder, 'audiences');
const configFile = join(folder, 'triggers.config.json');
const CONFIG = {
  source: { kind: 'file', folder: 'audiences' },
  metrics: { port: 0, jobs: 0 },
  taskQueue: 'ready-worker',
};
const way = new Way();
let worker: Program;
let url: string;

beforeAll(async () => {
  await writeSampleSource(source, { people: 3 });
  writeFileSync(configFile, JSON.stringify(CONFIG));
  await way.open();
  // A version that nobody has made current has no work, and is ready for it all the same.
  const env = { TRIGGERS_CONFIG: configFile, TEMPORAL_ADDRESS: way.address, TRIGGERS_DEPLOYMENT_NAME: 'ready-worker' };
  worker = startTriggers(['worker', '--json'], { env });
  await worker.says(({ stdout }) => stdout.endsWith('\n'));
  ({ metricsUrl: url } = JSON.parse(worker.stdout) as { metricsUrl: string }); // As `worker --json` says it.
});
afterAll(async () => {
  await worker.kill();
  await way.close();
});

async function asked(path: string, at = url): Promise<string> {
  const answer = await fetch(new URL(path, at));
  return `${answer.status} ${await answer.text()}`;
}

const READY = '200 {"ok":true}\n';
const not = (problem: string): string => `503 ${JSON.stringify({ ok: false, problem })}\n`;

/** Waits until `/readyz` answers so; all the while the worker is alive. */
async function readyIs(wanted: string): Promise<void> {
  await answerWhen(
    () => asked('/readyz'),
    (answer) => answer === wanted,
    200,
  );
  expect(await asked('/healthz')).toBe(READY);
}

test('a worker is ready and alive while Temporal and its source answer, and says so to any request', async () => {
  await readyIs(READY);
  expect((await fetch(new URL('/readyz', url), { method: 'HEAD' })).status).toBe(200);
});

test('a worker without Temporal is alive and not ready, and ready again when Temporal is back', async () => {
  await readyIs(READY);
  await way.close();
  await readyIs(not('Temporal does not answer.'));
  await way.open();
  await readyIs(READY);
});

test('a worker without its source is alive and not ready, and ready again when the source is back', async () => {
  renameSync(source, `${source}-gone`);
  await readyIs(
    not(
      `The audience source does not answer. ${join(source, 'audiences')} is not a folder that can be read. It holds a file for each audience, <slug>.ndjson.`,
    ),
  );
  renameSync(`${source}-gone`, source);
  await readyIs(READY);
});

test('a worker that is still connecting is alive and not ready', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number }; // It listens at a port.
  const metricsPort = await freePort();
  const env = {
    TRIGGERS_CONFIG: configFile,
    TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
    TRIGGERS_METRICS_PORT: String(metricsPort),
  };
  const starting = startTriggers(['worker'], { env });
  try {
    const at = `http://127.0.0.1:${metricsPort}`;
    await until(async () => (await asked('/healthz', at).catch(() => '')) === READY);
    expect(await asked('/readyz', at)).toBe(not('The worker is being started.'));
  } finally {
    await starting.kill();
    silent.close();
  }
});

describe('questions to workers', () => {
  // Most of these wait for ten seconds, and none needs another, so they wait together.

  const JOB = { label: 'VIP', audiences: ['vip'], webhookUrl: 'https://a.example/', authorization: null };
  const KEY = `k:${Buffer.alloc(32, 7).toString('base64')}`;

  test.concurrent.each([[[]], [[KEY]]])(
    "a client learns that a worker's source is down, not that no worker is there (payload keys %j)",
    async (payloadKeys) => {
      const lab = await Lab.open({ config: { payloadKeys } });
      try {
        lab.source.failure = new SourceError('PostgreSQL gave no answer.');
        const failure = await lab.jobs.check(JOB).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(WorkerFailed);
        expect(failure).toMatchObject({ reason: 'PostgreSQL gave no answer.', taskQueue: lab.taskQueue });
      } finally {
        await lab.close();
      }
    },
  );

  test.concurrent(
    "a client learns that a worker's source takes the question and is silent, not that no worker is there",
    async () => {
      const lab = await Lab.open();
      let answer: () => void = () => undefined;
      const silence = new Promise<void>((resolve) => (answer = resolve));
      try {
        const audiences = lab.source.audiences.bind(lab.source);
        lab.source.audiences = async () => silence.then(audiences);
        const failure = await lab.jobs.check(JOB).catch((error: unknown) => error);
        expect(failure).toBeInstanceOf(WorkerFailed);
        expect(failure).toMatchObject({ reason: expect.stringMatching(/at it for 10 s.*source takes a question/) });
      } finally {
        answer();
        await lab.close();
      }
    },
  );

  test.concurrent("a client learns that the workers' release does not know its question", async () => {
    const lab = await Lab.open();
    try {
      const { connection, options } = lab.client;
      const start: WorkflowClientInterceptor['start'] = async (input, next) =>
        await next({ ...input, options: { ...input.options, args: ['ofTomorrow', null] } });
      const newer = new Client({ connection, namespace: options.namespace, interceptors: { workflow: [{ start }] } });
      const failure = workerRpc(newer, lab.taskQueue, DESCRIBE_WORKER, null);
      await expect(failure).rejects.toMatchObject({ name: 'WorkerFailed', reason: expect.stringMatching(/ release /) });
    } finally {
      await lab.close();
    }
  });

  test.concurrent('a question that a worker answers at once costs one workflow task and no other', async () => {
    const lab = await Lab.open();
    try {
      await lab.jobs.check({ ...JOB, webhookUrl: lab.receiver.url });
      const query = `TaskQueue = '${lab.taskQueue}' AND WorkflowType = '${WORKER_RPC}'`;
      const asked = async (): Promise<string | undefined> => {
        for await (const { workflowId } of lab.client.workflow.list({ query })) return workflowId;
        return undefined;
      };
      const workflowId = (await answerWhen(asked, (found) => found !== undefined)) ?? '';
      const { events = [] } = await lab.client.workflow.getHandle(workflowId).fetchHistory();
      const tasks = events?.flatMap(({ workflowTaskCompletedEventAttributes: task }) => task ?? []);
      const activities = events?.flatMap(({ activityTaskScheduledEventAttributes: activity }) => activity ?? []);
      expect([tasks?.length, activities]).toEqual([1, []]);
    } finally {
      await lab.close();
    }
  });

  test.concurrent('a client learns that no worker is there', async () => {
    const lab = await Lab.open({ workers: 0 });
    try {
      await expect(lab.jobs.check(JOB)).rejects.toThrow(NoWorker);
    } finally {
      await lab.close();
    }
  });

  test.concurrent(
    'triggers audiences shows what the source has and what its members are made of, and refuses what it has not',
    async () => {
      const lab = await Lab.open();
      try {
        const operator = new Operator(lab.taskQueue);
        const all = await operator.run(['audiences']);
        expect(all.stdout).toMatch(/^SLUG +ID +MEMBERS +NAME\nvip +[0-9a-f]{32} +/);
        expect(await operator.json(['audiences', 'vip'])).toMatchObject({ slug: 'vip', fields: expect.any(Array) });
        const { code, stdout, stderr } = await operator.run(['audiences', 'vipp']);
        expect({ code, stdout, stderr }).toEqual({
          code: 2,
          stdout: '',
          stderr: 'The source has no audience "vipp". Did you mean "vip"?\n',
        });
      } finally {
        await lab.close();
      }
    },
  );
});

test('a worker that is told to end while Temporal is silent ends by itself', async () => {
  // Here the server is to answer each poll of a worker that ends, and the worker waits for that.
  const temporal = await startTightServer({}, { 'frontend.enableCancelWorkerPollsOnShutdown': true });
  const silent = new Way(temporal.address);
  await silent.open();
  try {
    const lab = await Lab.open({ address: silent.address, config: { requestTimeoutMs: 1 } });
    silent.silence();
    await lab.close();
  } finally {
    await silent.close();
    await temporal.stop();
  }
}, 120_000);
