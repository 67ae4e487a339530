import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { HolderTrouble } from '../../src/client/export-jobs.ts';
import { TemporalSideWorkflows } from '../../src/client/side-workflows.ts';
import { HOLDER, holderWorkflowId } from '../../src/domain/names.ts';
import { Lab } from '../support/lab.ts';
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

test('a holder that cannot be read is named with the reason, can be set aside, and becomes dead letters once it can be read', async () => {
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
  const content = (await new TemporalSideWorkflows(lab.client, lab.taskQueue).inputOf(second)) as {
    triggers: unknown[];
  };
  await replace(second, { v: 99 });
  await lab.jobs.resume(job);

  const troubled = await lab.statusWhen(job, ({ unreadableHolders }) => unreadableHolders !== undefined);
  expect(troubled).toMatchObject({
    state: 'running',
    reason: expect.stringMatching(/holder that cannot be read/),
    unreadableHolders: [{ holder: '2', reason: expect.stringMatching(/newer release/) }],
  });
  expect(troubled.waiting).toBeGreaterThan(0);
  const shown = await operator.run(['holders', job]);
  expect({ code: shown.code, said: unwrapped(shown.stdout) }).toMatchObject({
    code: 0,
    said: expect.stringMatching(/^2: since .*read again at .*newer release/),
  });

  // What is signalled meanwhile waits behind it, and the job continues as new.
  const runOf = async () => (await lab.handle(job).describe()).runId;
  const run = await runOf();
  for (let i = 0; i < 25; i++) await lab.jobs.enter(job, { audience: 'vip', user: `late ${i}`, profile: {} });
  while ((await runOf()) === run) await new Promise((resolve) => setTimeout(resolve, 200));
  await lab.statusWhen(job, ({ unreadableHolders }) => unreadableHolders?.[0]?.holder === '2');

  const unsure = await operator.run(['holders', job, '--set-aside', '2']);
  expect({ code: unsure.code, said: unwrapped(unsure.stderr) }).toMatchObject({
    code: 2,
    said: expect.stringMatching(/Nothing was done.*--yes/),
  });
  expect((await operator.run(['holders', job, '--set-aside', '3', '--yes'])).code).toBe(1);
  expect((await operator.run(['holders', job, '--set-aside', '2', '--yes'])).code).toBe(0);
  const rest = PEOPLE + 25 - content.triggers.length;
  await lab.statusWhen(job, ({ delivered, waiting }) => delivered === rest && waiting === 0);
  expect(await operator.json<HolderTrouble[]>(['holders', job])).toMatchObject([{ holder: '2', isAside: true }]);

  await replace(second, content);
  expect((await operator.run(['holders', job, '--read', '2'])).code).toBe(0);
  const after = await lab.statusWhen(job, ({ deadLetters }) => deadLetters === content.triggers.length);
  expect(after).not.toHaveProperty('unreadableHolders');
  // It is told that it is no longer needed a moment after its triggers are dead letters.
  await expect(lab.client.workflow.getHandle(second).result()).resolves.toBeUndefined();
});
