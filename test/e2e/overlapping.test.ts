import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { JobEdit } from '../../src/contract/export-job.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { backfillWorkflowId, EXPORT_JOB, jobWorkflowId } from '../../src/domain/names.ts';
import { Lab, NEWS, VIP } from '../support/lab.ts';

let lab: Lab;

beforeAll(async () => {
  const content = {
    audiences: [
      { ...VIP, members: ['member'] },
      { ...NEWS, members: [] },
    ],
    profiles: { member: {} },
  };
  lab = await Lab.open({ content });
});
afterAll(async () => lab.close());

/** Comes true when the source is asked once more; what asks is then held back. */
async function nextCall(before: number): Promise<void> {
  while (lab.source.calls.audiences === before) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Resolves when the job has the edit, which it answers only when that has taken effect or is refused. */
async function askToEdit(job: string, edit: JobEdit): Promise<void> {
  await lab.handle(job).startUpdate('edit', { args: [edit], waitForStage: 'ACCEPTED' });
}

test('two edits that overlap both take effect', async () => {
  const job = await lab.start();
  const before = lab.source.calls.audiences;
  const answer = lab.source.holdBack('audiences');
  try {
    // As a foreign client would ask, without checking first and without waiting for the effect.
    await askToEdit(job, { parallelRequestCount: 9 });
    await nextCall(before);
    await askToEdit(job, { label: 'Edited meanwhile' });
    await askToEdit(job, { description: 'And once more' });
  } finally {
    answer();
  }
  const both = ({ parallelRequestCount, label, description }: JobStatus) =>
    parallelRequestCount === 9 && label === 'Edited meanwhile' && description === 'And once more';
  expect((await lab.statusWhen(job, both)).notices).toEqual([]);
});

test('a job that is stopped with discard while it asks its source ends at once: it says what it received, sends nothing, begins no backfill', async () => {
  const workflowId = jobWorkflowId(`lab-${randomUUID()}`);
  const definition = {
    label: 'Never begun',
    audiences: ['vip'],
    webhookUrl: lab.receiver.url,
    authorization: null,
    existingUsers: true,
  };
  const before = lab.source.calls.audiences;
  const answer = lab.source.holdBack('audiences');
  try {
    const handle = await lab.client.workflow.start(EXPORT_JOB, {
      workflowId,
      taskQueue: lab.taskQueue,
      args: [definition],
    });
    await nextCall(before);
    const trigger = (user: string) => ({ audience: 'vip', user, profile: {} });
    await handle.signal('enter', trigger('1'));
    await handle.signal('triggers', [
      { ...trigger('2'), event: 'enter' },
      { ...trigger('3'), event: 'exit' },
    ]);
    expect(await handle.executeUpdate('stop', { args: [{ waiting: 'discard' }] })).toMatchObject({ state: 'stopping' });
    // The source has still not answered.
    expect(await handle.result()).toEqual({ received: 3, delivered: 0 });
  } finally {
    answer();
  }
  expect(lab.receiver.ledger.requests).toBe(0);
  const child = lab.client.workflow.getHandle(backfillWorkflowId(workflowId, 1));
  await expect(child.describe()).rejects.toBeInstanceOf(WorkflowNotFoundError);
});

test('a backfill that names one audience by slug and by id reads it once', async () => {
  const job = await lab.start();
  await lab.jobs.backfill(job, { audiences: ['vip', VIP.id, 'vip'] });
  const { backfill } = await lab.statusWhen(job, (status) => status.backfill?.state === 'finished');
  expect(backfill).toMatchObject({ audiences: ['vip'], taken: 1, delivered: 1 });
});
