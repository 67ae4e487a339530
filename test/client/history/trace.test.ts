import { expect, test } from '@jest/globals';
import { QueryNotRegisteredError } from '@temporalio/client';
import { standingOf } from '../../../src/client/history/trace.ts';
import { GRPC } from '../../../src/client/server-errors.ts';
import { clientWith } from '../an-easy-worker.ts';

test('a job whose worker cannot answer is shown with the reason, so that a trace over many jobs goes on', async () => {
  const why = 'A payload is encrypted with the key "a", and no payload keys are set here.';
  const client = clientWith({
    describe: async () =>
      await Promise.resolve({ runId: 'r', taskQueue: 'q', status: { code: 1, name: 'RUNNING' }, memo: {} }),
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
