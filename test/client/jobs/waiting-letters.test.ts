import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { lettersInStatus, ownLetters } from '../../../src/client/jobs/waiting-letters.ts';
import { GRPC } from '../../../src/client/calls/server-errors.ts';
import { serverError } from '../recorded-job.ts';

test('a server that is too busy to count dead letters is not taken for one that knows of none', async () => {
  const workflow = { count: async () => await Promise.reject(serverError(GRPC.DEADLINE_EXCEEDED)) };
  const client = { workflow } as unknown as Client; // All of a client that counting uses.
  const job = { jobId: 'vip', subscriptionId: 'one', deadLetters: 1 };
  await expect(ownLetters(client, job, 'q')).rejects.toThrow();
  expect(await lettersInStatus(client, job, 'q')).toEqual({});
});

test('a job without dead letters costs the server one count', async () => {
  const queries: string[] = [];
  const count = async (query: string) => {
    queries.push(query);
    return await Promise.resolve({ count: 0 });
  };
  const client = { workflow: { count } } as unknown as Client; // All of a client that counting uses.
  await lettersInStatus(client, { jobId: 'vip', subscriptionId: 'one', deadLetters: 0 }, 'q');
  expect(queries).toEqual([
    expect.stringContaining("ExportJobId = 'vip' OR (ExportJobId IS NULL AND TaskQueue = 'q')"),
  ]);
});
