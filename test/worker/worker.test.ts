import { TemporalSubscribers } from '../../src/features/watch/subscribers.ts';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, expect, test } from '@jest/globals';
import { connect } from '../support/connection.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { temporal } from '../support/temporal.ts';
import { randomUUID } from 'node:crypto';
import { Client } from '@temporalio/client';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';

const LIB = new URL('../../lib/', import.meta.url).href;

const emptyFolder = tempFolder();

/** A program whose worker cannot start because `source` cannot be opened; it ends when nothing keeps it. */
const PROGRAM = `
import { startWorker } from '${LIB}app/worker.js';
import { loadConfig } from '${LIB}app/config.js';
import { loadConnectConfig } from '${LIB}client/calls/connect.js';
const failure = await startWorker({ config: loadConfig(), connection: loadConnectConfig() }).catch((error) => error);
process.stdout.write(failure.message);
`;

test('a worker that cannot start closes what it had opened, so that its process ends', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    env: {
      ...process.env,
      TEMPORAL_ADDRESS: temporal.address,
      TRIGGERS_SOURCE: emptyFolder,
      TRIGGERS_METRICS_PORT: '0',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(said).toMatch(/audiences is not a folder that can be read/);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
});

const connection = await connect(temporal.address);
afterAll(() => connection.close());
const client = new Client({ connection, namespace: temporal.namespace });

test('a watch tells the jobs of its own task queue: those of another have another source, and other keys', async () => {
  const audience = randomUUID().replaceAll('-', '');
  const start = async (taskQueue: string) => {
    const jobId = `heard-${randomUUID()}`;
    const memo = { audiences: [{ id: audience, slug: 'vip' }] };
    return {
      jobId,
      handle: await client.workflow.start(EXPORT_JOB, {
        workflowId: jobWorkflowId(jobId),
        taskQueue,
        memo,
        args: [{}],
      }),
    };
  };
  const queues = [`one-${randomUUID()}`, `other-${randomUUID()}`] as const;
  const [one, other] = [await start(queues[0]), await start(queues[1])];
  try {
    const heard = async (taskQueue: string) => (await new TemporalSubscribers(client, taskQueue).of(audience)).jobIds;
    while ((await heard(queues[0])).length === 0 || (await heard(queues[1])).length === 0);
    expect(await heard(queues[0])).toEqual([one.jobId]);
    expect(await heard(queues[1])).toEqual([other.jobId]);
  } finally {
    await Promise.all([one.handle.terminate(), other.handle.terminate()]);
  }
});
