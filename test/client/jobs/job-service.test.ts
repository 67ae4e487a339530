import { expect, test } from '@jest/globals';
import { QueryNotRegisteredError } from '@temporalio/client';
import { queryQuickly } from '../../../src/client/jobs/job-service.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { EVENTS_AHEAD } from '../../../src/domain/errors.ts';
import { statusQuery } from '../../../src/workflows/messages.ts';
import { clientWith } from '../an-easy-worker.ts';

test('a quick question that came too early is asked once more: one job without an answer would silence its whole task queue', async () => {
  const answers = [new QueryNotRegisteredError(EVENTS_AHEAD, GRPC.INVALID_ARGUMENT), { v: 1 }];
  const query = async () => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return await Promise.resolve(answer);
  };
  expect(await queryQuickly(clientWith({ query }), 'export-job-vip', statusQuery)).toEqual({ v: 1 });
});
