import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { defineQuery } from '@temporalio/workflow';
import { ask, executeUpdate } from '../../src/client/asking.ts';
import { GRPC, grpcCode } from '../../src/client/server-errors.ts';
import { serverError } from './recorded-job.ts';

const JOB = { workflowId: 'export-job-vip', taskQueue: 'audience-triggers' };

/** A client of whose updates the first ones fail with this; and their ids. */
function failing(code: number, times: number): { readonly client: Client; readonly ids: string[] } {
  const ids: string[] = [];
  const handle = {
    executeUpdate: async (_: string, { updateId }: { updateId: string }) => {
      ids.push(updateId);
      if (ids.length <= times) throw serverError(code);
      return await Promise.resolve('done');
    },
  };
  const client = {
    workflow: { getHandle: () => handle },
    withDeadline: async (_: number, call: () => Promise<unknown>) => await call(),
  };
  return { client: client as unknown as Client, ids }; // All of a client that an update uses.
}

test('a command that comes to a run whose end is refused is given again, under the same id', async () => {
  const { client, ids } = failing(GRPC.FAILED_PRECONDITION, 2);
  expect(await executeUpdate(client, JOB, { name: 'pause' }, [])).toBe('done');
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(1);
});

test('it is not given for longer than an answer may take, nor after any other refusal', async () => {
  const late = failing(GRPC.FAILED_PRECONDITION, Infinity);
  const begunMs = performance.now();
  const error = await executeUpdate(late.client, JOB, { name: 'pause' }, [], 600).catch((thrown: unknown) => thrown);
  expect(grpcCode(error)).toBe(GRPC.FAILED_PRECONDITION);
  expect(performance.now() - begunMs).toBeLessThan(3_000);
  const denied = failing(GRPC.PERMISSION_DENIED, Infinity);
  await expect(executeUpdate(denied.client, JOB, { name: 'pause' }, [])).rejects.toThrow();
  expect(denied.ids).toHaveLength(1);
});

/** A client of a workflow whose run ends: a question put to that run is never answered, whoever cancels it, and one put to the next run is. */
function ending(nextRunAfter: number) {
  let [looks, asked, givenUp] = [0, 0, 0];
  const handle = {
    describe: async () => await Promise.resolve({ runId: looks++ < nextRunAfter ? 'first' : 'next' }),
    query: async () => {
      asked++;
      return await (looks > nextRunAfter ? Promise.resolve('as it is now') : new Promise(() => undefined));
    },
  };
  const client = {
    workflow: { getHandle: () => handle },
    withDeadline: async (_: number, call: () => Promise<unknown>) => await call(),
    withAbortSignal: async (signal: AbortSignal, call: () => Promise<unknown>) => {
      const isFirst = asked === 0;
      signal.addEventListener('abort', () => (givenUp += isFirst ? 1 : 0));
      return await call();
    },
  };
  return { client: client as unknown as Client, counts: () => ({ asked, givenUp }) }; // All of a client that a question uses.
}

test('a question that meets the end of a run is put to the next run, and the one to the old run is given up', async () => {
  const { client, counts } = ending(2);
  expect(await ask(client, JOB.workflowId, defineQuery<string>('status'))).toBe('as it is now');
  expect(counts()).toEqual({ asked: 2, givenUp: 1 });
});
