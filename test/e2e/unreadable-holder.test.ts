import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TemporalSideWorkflows } from '../../src/client/side-workflows.ts';
import { HOLDER, holderWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';
import { answerWhen } from '../support/patience.ts';
import { Operator, unwrapped } from '../support/triggers-cli.ts';

const PEOPLE = 3000;

let lab: Lab;
let operator: Operator;
beforeAll(async () => {
  // So small that a job needs many holders, and soon another run.
  const serverLimits = { payloadBytes: 64 * 1024, signalsPerRun: 200, eventsPerRun: 51_200 };
  lab = await Lab.open({ config: { serverLimits } });
  operator = new Operator(lab.taskQueue);
});
afterAll(async () => lab.close());

/** A holder that is what somebody made of it. */
async function replace(workflowId: string, content: object): Promise<void> {
  await lab.client.workflow.getHandle(workflowId).terminate('somebody ended it');
  await lab.client.workflow.start(HOLDER, { workflowId, taskQueue: lab.taskQueue, args: [content] });
}

test('a holder that cannot be read is named with the reason; once it can be read, or is deleted, what stands behind it goes on', async () => {
  const job = await lab.start({ parallelRequestCount: 50 });
  await lab.jobs.pause(job);
  const triggers = Array.from({ length: PEOPLE }, (_, i) => ({
    event: 'enter' as const,
    audience: 'vip',
    user: `person ${i}`,
    profile: {},
  }));
  await lab.jobs.push(job, triggers);
  const { subscriptionId } = await lab.statusWhen(job, ({ received }) => received === PEOPLE);
  await lab.statusWhen(job, ({ overflow }) => overflow > PEOPLE / 2);
  const second = holderWorkflowId(subscriptionId, '2');
  const workflows = new TemporalSideWorkflows(lab.client, lab.taskQueue);
  const content = (await workflows.inputOf(second)) as object;
  await replace(second, { v: 99 });
  // The one behind it is deleted. The server takes half a minute for that.
  const third = holderWorkflowId(subscriptionId, '3');
  const lost = (await workflows.inputOf(third)) as { triggers: unknown[] };
  await lab.client.workflow.getHandle(third).terminate('deleted');
  await lab.client.workflowService.deleteWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: third },
  });
  await lab.jobs.resume(job);

  const troubled = await lab.statusWhen(job, ({ unreadableHolder }) => unreadableHolder !== undefined);
  expect(troubled).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/holder that cannot be read/),
    unreadableHolder: { holder: '2', reason: expect.stringMatching(/newer release/) },
  });
  expect(troubled.waiting).toBeGreaterThan(0);
  const shown = await operator.run(['status', job]);
  expect(unwrapped(shown.stdout)).toMatch(/holder 2 cannot be read .*triggers retry/);

  // What is signalled meanwhile waits behind it, and the job continues as new.
  const runOf = async () => (await lab.handle(job).describe()).runId;
  const run = await runOf();
  for (let i = 0; i < 25; i++) await lab.jobs.enter(job, { audience: 'vip', user: `late ${i}`, profile: {} });
  while ((await runOf()) === run) await new Promise((resolve) => setTimeout(resolve, 200));
  const still = await lab.statusWhen(job, ({ unreadableHolder }) => unreadableHolder?.holder === '2');

  // The job reads ahead, so it may have read the third before the server deleted it. A read of the second that fails drops that.
  await answerWhen(
    () => workflows.inputOf(third),
    (input) => input === undefined,
  );
  await lab.jobs.retry(job);
  const nextTryAt = still.unreadableHolder?.nextTryAt ?? '';
  await lab.statusWhen(job, ({ unreadableHolder }) => (unreadableHolder?.nextTryAt ?? '') > nextTryAt);

  // Its own content comes back.
  await replace(second, content);
  expect((await operator.run(['retry', job])).code).toBe(0);
  const sent = PEOPLE + 25 - lost.triggers.length;
  const after = await lab.statusWhen(job, ({ delivered, waiting }) => delivered === sent && waiting === 0);
  expect(after).not.toHaveProperty('unreadableHolder');
  expect(after.notices).toEqual([expect.stringMatching(/^The holder 3 is gone/)]);
  // It is told that it is no longer needed a moment after its triggers are sent.
  await expect(lab.client.workflow.getHandle(second).result()).resolves.toBeUndefined();
});
