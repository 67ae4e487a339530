import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHolders } from '../../src/activities/holders.ts';
import { TemporalSideWorkflows } from '../../src/client/side-workflows.ts';
import { NewerState } from '../../src/domain/errors.ts';
import { BACKFILL, DEAD_LETTER, EXPORT_JOB, WATCH_AUDIENCE } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.open();
});
afterAll(async () => lab.close());

async function start(type: string, input: object) {
  const workflowId = `newer-${randomUUID()}`;
  return await lab.client.workflow.start(type, { workflowId, taskQueue: lab.taskQueue, args: [input] });
}

test.each([
  [EXPORT_JOB, { v: 2, later: true }],
  [DEAD_LETTER, { v: 2, later: true }],
  [WATCH_AUDIENCE, { v: 2, later: true }],
  [BACKFILL, { v: 2, later: true }],
])('a %s that a newer release carried on waits for it: its task fails and says why', async (type, input) => {
  const handle = await start(type, input);
  const why = async (): Promise<string | undefined> => {
    const { events } = await handle.fetchHistory();
    return events?.find((event) => event.workflowTaskFailedEventAttributes != null)?.workflowTaskFailedEventAttributes
      ?.failure?.message as string | undefined;
  };
  let reason = await why();
  for (; reason === undefined; reason = await why()) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(reason).toMatch(/was written by a newer release: it is of version 2.*Nothing is lost/);
  // What is signalled meanwhile is accepted, and waits with it.
  await handle.signal('triggers', []);
  expect((await handle.describe()).status.name).toBe('RUNNING');
  await handle.terminate();
});

test('a holder that a newer release filled is not read as if it were empty', async () => {
  const { load } = createHolders(new TemporalSideWorkflows(lab.client, lab.taskQueue));
  const { workflowId } = await start('holder', { v: 2, audiences: [], triggers: [] });
  await expect(load(workflowId)).rejects.toBeInstanceOf(NewerState);
  await lab.client.workflow.getHandle(workflowId).terminate();
});
