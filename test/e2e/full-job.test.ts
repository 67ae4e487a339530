import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { BACKFILL, backfillWorkflowId, DEAD_LETTER, EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { deadLetterStatusQuery, redeliverSignal } from '../../src/workflows/messages.ts';
import { aDeadLetter } from '../domain/job/a-dead-letter.ts';
import { labOfFile, labOfTest, VIP } from '../support/lab.ts';
import { startTightServer } from '../support/tight-server.ts';
import { afterFile } from '../webhook/a-server.ts';

const SIGNALS_PER_RUN = 5;

const server = await startTightServer(
  { signalsPerRun: SIGNALS_PER_RUN },
  { 'limit.historyCount.suggestContinueAsNew': 100 },
);
afterFile(() => server.stop());
const lab = await labOfFile({ address: server.address, content: { audiences: [{ ...VIP, members: ['1'] }] } });

/** A job that has had all the signals that its run may have, since it has no worker. */
async function fullJob(): Promise<WorkflowHandle> {
  const job = await lab.client.workflow.start(EXPORT_JOB, {
    workflowId: jobWorkflowId(randomUUID()),
    taskQueue: 'nobody-works-here',
    args: [{}],
  });
  for (let i = 0; i < SIGNALS_PER_RUN; i++) await job.signal('enter', {});
  return job;
}

async function refusals(handle: WorkflowHandle): Promise<number> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).filter(({ signalExternalWorkflowExecutionFailedEventAttributes: failed }) => failed != null)
    .length;
}

test('a page that a full job cannot take is sent again, and the backfill ends when the job is gone', async () => {
  const job = await fullJob();
  const child = await lab.client.workflow.start(BACKFILL, {
    workflowId: `backfill-${randomUUID()}`,
    taskQueue: lab.taskQueue,
    args: [
      {
        jobWorkflowId: job.workflowId,
        subscriptionId: '5'.repeat(32),
        n: 1,
        audiences: [VIP.id],
        pageBytes: 1000,
        carried: { next: { page: 1, audience: 0 }, ahead: [] },
      },
    ],
  });
  while ((await refusals(child)) < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await child.describe()).status.name).toBe('RUNNING');
  await job.terminate();
  await expect(child.result()).rejects.toMatchObject({ cause: { type: 'JobGone' } });
});

test('a dead letter that a full job cannot take waits on, and says what to look at', async () => {
  const job = await fullJob();
  const letter = await lab.client.workflow.start(DEAD_LETTER, {
    workflowId: `dead-letter-${randomUUID()}`,
    taskQueue: lab.taskQueue,
    args: [aDeadLetter({ jobWorkflowId: job.workflowId })],
  });
  await letter.signal(redeliverSignal, { force: true });
  const status = () => letter.query(deadLetterStatusQuery);
  while ((await status()).notice === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await status()).toMatchObject({
    state: 'waiting',
    notice: expect.stringMatching(/accepts no more signals until/),
  });
});

test('a page of a backfill that the job has no signal left for waits until its next run', async () => {
  const members = ['a', 'b', 'c'];
  const profiles = Object.fromEntries(members.map((user) => [user, { user }]));
  const own = await labOfTest({ address: server.address, content: { audiences: [{ ...VIP, members }], profiles } });
  const answer = own.source.holdBack('members');
  const job = await own.start({ audiences: ['vip'], existingUsers: true });
  const handle = own.handle(job);
  const fill = async () => {
    for (let i = 0; ; i++) await handle.signal('enter', { audience: 'vip', user: `live ${i}` });
  };
  await expect(fill()).rejects.toThrow();
  answer();
  const child = own.client.workflow.getHandle(backfillWorkflowId(jobWorkflowId(job), 1));
  const wasRefused = async () => {
    const { events } = await child.fetchHistory();
    return (events ?? []).some((event) => event.signalExternalWorkflowExecutionFailedEventAttributes != null);
  };
  while (!(await wasRefused())) await new Promise((resolve) => setTimeout(resolve, 50));
  // Updates are no signals, and make the run long enough to end.
  for (const { runId } = await handle.describe(); (await handle.describe()).runId === runId;) {
    await own.jobs.pause(job);
    await own.jobs.resume(job);
  }
  const { backfill } = await own.statusWhen(job, (status) => status.backfill?.state === 'finished');
  expect(backfill).toMatchObject({ taken: members.length });
  await expect(child.result()).resolves.toEqual({ pages: 1 });
});
