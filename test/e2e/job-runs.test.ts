import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { jobRuns } from '../../src/client/jobs/job-runs.ts';
import { EXPORT_JOB } from '../../src/domain/names.ts';
import { until } from '../support/patience.ts';
import { temporal } from '../support/temporal.ts';

let connection: Connection;
let client: Client;

beforeAll(async () => {
  connection = await Connection.connect({ address: temporal.address });
  client = new Client({ connection, namespace: temporal.namespace });
});
afterAll(async () => {
  await connection.close();
});

async function listed(taskQueue: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of jobRuns(client, { areRunning: true, taskQueue })) ids.push(workflowId);
  return ids;
}

test.each(['plain', "the team's", 'a\\b', String.raw`both \' of them`, '"quoted"', '%'])(
  'the runs of one task queue are found, and nobody else’s, whatever its name is: %s',
  async (name) => {
    const workflowId = randomUUID();
    const taskQueue = `${name} ${workflowId}`;
    await client.workflow.start(EXPORT_JOB, { workflowId, taskQueue });
    const other = await client.workflow.start(EXPORT_JOB, { workflowId: randomUUID(), taskQueue: `${taskQueue} 2` });
    await until(async () => (await listed(taskQueue)).length > 0);
    expect(await listed(taskQueue)).toEqual([workflowId]);
    await client.workflow.getHandle(workflowId).terminate();
    await other.terminate();
  },
);
