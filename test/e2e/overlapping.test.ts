import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { WorkflowNotFoundError } from '@temporalio/client';
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
