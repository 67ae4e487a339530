import { expect, test } from '@jest/globals';
import { QueryNotRegisteredError } from '@temporalio/client';
import { standingOf } from '../../../src/features/trace/trace.ts';
import type { ListedRun } from '../../../src/client/jobs/job-list.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { clientWith } from '../../client/an-easy-worker.ts';

const RUN = { runId: 'r', taskQueue: 'q', status: { code: 1, name: 'RUNNING' }, memo: {} };

test('a job whose worker cannot answer is shown with the reason, so that a trace over many jobs goes on', async () => {
  const why = 'A payload is encrypted with the key "a", and no payload keys are set here.';
  const client = clientWith({
    describe: async () => await Promise.resolve(RUN),
    query: async () => await Promise.reject(new QueryNotRegisteredError(why, GRPC.INVALID_ARGUMENT)),
  });
  const silent = new Map<string, string>();
  expect(await standingOf(client, 'vip', 'p1', silent)).toMatchObject({
    kind: 'stands',
    jobId: 'vip',
    notice: expect.stringContaining(why),
  });
  // Another job of that queue may not be encrypted.
  expect(silent.size).toBe(0);
});

test('a job that a list shows is asked at once, without being described', async () => {
  const client = clientWith({
    describe: async () => await Promise.reject(new Error('It was described.')),
    query: async () =>
      await Promise.resolve({ v: 1, subscriptionId: 's', audiences: [], waiting: [], waitingCount: 0 }),
  });
  const listed = RUN as unknown as ListedRun; // All that is used of it.
  expect(await standingOf(client, 'vip', 'p1', new Map(), listed)).toMatchObject({
    kind: 'stands',
    standing: { waitingCount: 0 },
  });
});
