import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { GRPC } from '../../src/client/server-errors.ts';
import { Watches } from '../../src/client/watches.ts';
import { serverError } from './recorded-job.ts';

test('where nobody answers for a watch, its own task queue is named and not that of the client', async () => {
  const handle = {
    query: () => Promise.reject(serverError(GRPC.DEADLINE_EXCEEDED)),
    describe: () => Promise.resolve({ taskQueue: 'theirs', status: { name: 'RUNNING' } }),
  };
  const client = {
    options: { namespace: 'default' },
    workflow: { getHandle: () => handle },
    workflowService: { describeTaskQueue: () => Promise.resolve({ pollers: [] }) },
    withDeadline: (_: number, call: () => unknown) => call(),
    withAbortSignal: (_: AbortSignal, call: () => unknown) => call(),
  } as unknown as Client; // All of a client that is used here.
  const asked = new Watches(() => client, 'ours').scanNow('ab'.repeat(16));
  await expect(asked).rejects.toMatchObject({ name: 'NoWorker', taskQueue: 'theirs' });
});
