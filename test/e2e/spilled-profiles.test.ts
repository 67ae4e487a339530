import { expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { EventTrigger, JsonObject } from '../../src/contract/trigger.ts';
import { profileHolderPrefix } from '../../src/domain/names.ts';
import { Lab, type LabOptions } from '../support/lab.ts';
import { answerWhen, until } from '../support/patience.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';

const SOURCE_FIELD = 'from_the_source';

const lab = await labWith();
afterFile(() => lab.close());

/** Its source knows everybody, and something else of them than what comes with a trigger. */
async function labWith(options: LabOptions = {}): Promise<Lab> {
  const opened = await Lab.open({ receiver: { keepBodies: true }, ...options });
  for (let i = 0; i < 2_000; i++) opened.source.setProfile(`p${i}`, { [SOURCE_FIELD]: true });
  return opened;
}

/** Some 1.4 KB each: more of them than a signal has room for. */
const profileOf = (i: number): JsonObject => ({ n: i, big: 9_007_199_254_740_993n, text: `${i}`.repeat(300) });
const trigger = (i: number): EventTrigger => ({
  event: 'enter',
  audience: 'vip',
  user: `p${i}`,
  profile: profileOf(i),
});
const triggers = (count: number) => Array.from({ length: count }, (_, i) => trigger(i));

/** The profile holders of a job that run. */
async function holdersOf({ client }: Lab, jobId: string): Promise<string[]> {
  const query = `WorkflowId STARTS_WITH "${profileHolderPrefix(jobId)}" AND ExecutionStatus = "Running"`;
  const ids: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) ids.push(workflowId);
  return ids;
}

/** The same, once there are as many as wanted. */
async function holdersWhen(lab: Lab, jobId: string, isAsWanted: (count: number) => boolean): Promise<string[]> {
  return await answerWhen(
    () => holdersOf(lab, jobId),
    ({ length }) => isAsWanted(length),
  );
}

/** Which of so many people were told what came with their triggers, once each. */
function toldRightly({ receiver }: Lab, count: number): number {
  const bodies = receiver.ledger.entries.map(({ body = '' }) => body);
  expect(bodies.filter((body) => body.includes(SOURCE_FIELD))).toEqual([]);
  const right = (i: number) => bodies.filter((body) => body.includes(`"n":${i},`) && body.includes(`:"p${i}"`)).length;
  return Array.from({ length: count }, (_, i) => right(i)).filter((times) => times === 1).length;
}

test('a job sends many pushed profiles with their triggers, and leaves none in Temporal afterwards', async () => {
  const jobId = await lab.start({ parallelRequestCount: 20 });
  expect(await lab.jobs.push(jobId, triggers(1_500))).toMatchObject({ accepted: 1_500 });
  const { delivered } = await lab.statusWhen(jobId, ({ waiting }) => waiting === 0);
  expect(delivered).toBe(1_500);
  expect(toldRightly(lab, 1_500)).toBe(1_500);
  expect(lab.receiver.ledger.entries[0]?.body).toContain('9007199254740993');
  // They were held, and are let go.
  const { events = [] } = await lab.handle(jobId).fetchHistory();
  const signals = (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes != null);
  expect(signals.length).toBeLessThan(10);
  await holdersWhen(lab, jobId, (count) => count === 0);
});

test('profiles outlive the job: it keeps what waits, is resumed, and sends them', async () => {
  const held = await labWith();
  afterwards(() => held.close());
  const jobId = await held.start();
  await held.jobs.pause(jobId);
  await held.jobs.push(jobId, triggers(500));
  await holdersWhen(held, jobId, (count) => count > 0);
  await held.jobs.stop(jobId, { waiting: 'keep' });
  await held.statusWhen(jobId, ({ state }) => state === 'stopped');
  expect((await holdersOf(held, jobId)).length).toBeGreaterThan(0);
  await held.jobs.resume(jobId);
  await held.statusWhen(jobId, ({ waiting }) => waiting === 0);
  expect(toldRightly(held, 500)).toBe(500);
});

test.each([
  ['discards its backlog', async (jobId: string) => await lab.jobs.stop(jobId, { waiting: 'discard' })],
  [
    'is given up for another one',
    async (jobId: string) => {
      await lab.handle(jobId).terminate();
      const definition = { label: 'Lab', audiences: ['vip'], webhookUrl: lab.receiver.url, authorization: null };
      await lab.jobs.start(definition, { jobId, discardRecoverable: true });
    },
  ],
])('a job that %s leaves no profile behind, not even one never signalled to it', async (_, giveUp) => {
  const jobId = await lab.start();
  await lab.jobs.pause(jobId);
  await lab.jobs.push(jobId, triggers(500));
  // A client may be killed before it signals.
  await lab.client.workflow.start('holder', {
    workflowId: `${profileHolderPrefix(jobId)}h00000000000000f`,
    taskQueue: lab.taskQueue,
    args: [{ profiles: ['{}'] }],
    startDelay: '1 hour',
  });
  await holdersWhen(lab, jobId, (count) => count > 1);
  await giveUp(jobId);
  await holdersWhen(lab, jobId, (count) => count === 0);
});

test('triggers whose profiles are gone become dead letters, and are not sent with the profile of the source', async () => {
  const gone = await labWith();
  afterwards(() => gone.close());
  const jobId = await gone.start();
  await gone.jobs.pause(jobId);
  await gone.jobs.push(jobId, triggers(100));
  const holders = await holdersWhen(gone, jobId, (count) => count > 0);
  for (const workflowId of holders) {
    await gone.client.workflowService.deleteWorkflowExecution({
      namespace: gone.client.options.namespace,
      workflowExecution: { workflowId },
    });
    // The server deletes a moment later than it says.
    await until(async () => await isGone(gone, workflowId));
  }
  await gone.jobs.resume(jobId);
  const status = await gone.statusWhen(jobId, ({ waiting }) => waiting === 0);
  expect(status.deadLetters + status.delivered).toBe(100);
  expect(status.deadLetters).toBeGreaterThan(50);
  expect(toldRightly(gone, 100)).toBe(status.delivered);
  const [letter] = await answerWhen(
    () => listed(gone, jobId),
    ({ length }) => length > 50,
  );
  expect(letter?.failure).toContain('the profile that came with the trigger is gone');
});

async function isGone({ client }: Lab, workflowId: string): Promise<boolean> {
  try {
    await client.workflow.getHandle(workflowId).describe();
    return false;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return true;
    throw error;
  }
}

async function listed({ jobs }: Lab, jobId: string) {
  const letters = [];
  for await (const letter of jobs.deadLetters.list({ jobId })) letters.push(letter);
  return letters;
}
