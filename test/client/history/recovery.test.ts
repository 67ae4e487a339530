import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { recover } from '../../../src/client/history/recovery.ts';

test('of a job that runs there is nothing to recover, and that is said in place of how another one is started', async () => {
  const client = {
    workflow: { getHandle: () => ({ describe: async () => await Promise.resolve({ status: { name: 'RUNNING' } }) }) },
  } as unknown as Client; // What recover uses of one before it refuses.
  await expect(recover(client, 'vip')).rejects.toMatchObject({
    name: 'JobAlreadyRunning',
    message: expect.stringContaining('There is nothing to recover.'),
  });
});
