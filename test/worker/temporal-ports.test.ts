import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { TemporalSubscribers } from '../../src/worker/temporal-ports.ts';
import { temporal } from '../support/temporal.ts';

let connection: Connection;
let client: Client;

beforeAll(async () => {
  connection = await Connection.connect({ address: temporal.address });
  client = new Client({ connection, namespace: temporal.namespace });
});
afterAll(async () => connection.close());

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
