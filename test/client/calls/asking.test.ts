import { expect, test } from '@jest/globals';
import { type Client, QueryNotRegisteredError } from '@temporalio/client';
import { defineQuery } from '@temporalio/workflow';
import { ask, executeUpdate } from '../../../src/client/calls/asking.ts';
import { GRPC, grpcCode } from '../../../src/client/calls/server-errors.ts';
import { EVENTS_AHEAD } from '../../../src/domain/errors.ts';
import { clientWith } from '../an-easy-worker.ts';
import { serverError } from '../recorded-job.ts';

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
  return { client: clientWith(handle), ids };
}

test('a command that comes to a run whose end is refused is given again, under the same id', async () => {
  const { client, ids } = failing(GRPC.FAILED_PRECONDITION, 2);
  expect(await executeUpdate(client, JOB, { name: 'pause' }, [])).toBe('done');
  expect(ids).toHaveLength(3);
  expect(new Set(ids).size).toBe(1);
});

test('a command is not repeated for longer than an answer may take, nor after any other refusal', async () => {
  const late = failing(GRPC.FAILED_PRECONDITION, Infinity);
  const begunMs = performance.now();
  const error = await executeUpdate(late.client, JOB, { name: 'pause' }, [], 600).catch((thrown: unknown) => thrown);
  expect(grpcCode(error)).toBe(GRPC.FAILED_PRECONDITION);
  expect(performance.now() - begunMs).toBeLessThan(8_000);
  const denied = failing(GRPC.PERMISSION_DENIED, Infinity);
  await expect(executeUpdate(denied.client, JOB, { name: 'pause' }, [])).rejects.toThrow();
  expect(denied.ids).toHaveLength(1);
});

/** A client of a workflow whose run ends: that run never answers, even if the question is cancelled. The next run does. */
function ending(nextRunAfter: number) {
  let [looks, asked, givenUp] = [0, 0, 0];
  const handle = {
    describe: async () => await Promise.resolve({ runId: looks++ < nextRunAfter ? 'first' : 'next' }),
    query: async () => {
      asked++;
      return await (looks > nextRunAfter ? Promise.resolve('as it is now') : new Promise(() => undefined));
    },
  };
  const withAbortSignal = async (signal: AbortSignal, call: () => Promise<unknown>): Promise<unknown> => {
    const isFirst = asked === 0;
    signal.addEventListener('abort', () => (givenUp += isFirst ? 1 : 0));
    return await call();
  };
  return { client: clientWith(handle, { withAbortSignal }), counts: () => ({ asked, givenUp }) };
}

test('a question at the end of a run goes to the next run, and the old one is given up', async () => {
  const { client, counts } = ending(2);
  expect(await ask(client, JOB.workflowId, defineQuery<string>('status'))).toBe('as it is now');
  expect(counts()).toEqual({ asked: 2, givenUp: 1 });
});

test('a run that the caller has described is asked without another look, unless it has ended meanwhile', async () => {
  const query = defineQuery<string>('status');
  const run = runOf('first', 'RUNNING');
  const quick = answering('RUNNING', ['now']);
  expect(await ask(quick.client, JOB.workflowId, query, { run })).toBe('now');
  expect(quick.looks()).toBe(0);
  const { client, counts } = ending(0);
  expect(await ask(client, JOB.workflowId, query, { run })).toBe('as it is now');
  expect(counts()).toEqual({ asked: 2, givenUp: 1 });
});

function runOf(runId: string, name: 'RUNNING' | 'TERMINATED') {
  return { runId, status: { code: 1, name } } as const;
}

/** A workflow in this state, of which one worker after the other answers a query: with that, or, if it is an error, not. */
function answering(status: 'RUNNING' | 'TERMINATED', answers: readonly (string | Error)[]) {
  const asked: string[] = [];
  let looks = 0;
  const describe = async () => {
    looks++;
    return await Promise.resolve({ runId: 'closed', status: { name: status }, taskQueue: 'q' });
  };
  const handleOf = (run = 'last') => ({
    describe,
    query: async (name: string) => {
      const answer = answers[asked.push(`${run} ${name}`) - 1];
      if (answer instanceof Error) throw answer;
      return await Promise.resolve(answer);
    },
  });
  const workflow = { getHandle: (_: string, run?: string) => handleOf(run) };
  return { client: clientWith({}, { workflow }), asked, looks: () => looks };
}

const AHEAD = new QueryNotRegisteredError(EVENTS_AHEAD, GRPC.INVALID_ARGUMENT);
const UNKNOWN = new QueryNotRegisteredError('Workflow did not register a handler for it.', GRPC.INVALID_ARGUMENT);

test('a query that came too early is sent again; that of a run that has ended says so, unless the worker is of 0.1.0', async () => {
  const query = defineQuery<string>('status');
  const early = answering('RUNNING', [AHEAD, 'now']);
  expect(await ask(early.client, JOB.workflowId, query)).toBe('now');
  expect(early.asked).toEqual(['last status', 'last status']);
  const late = answering('TERMINATED', [AHEAD, 'as it was']);
  expect(await ask(late.client, JOB.workflowId, query)).toBe('as it was');
  expect(late.asked).toEqual(['last status', 'closed status:ended']);
  const old = answering('TERMINATED', [UNKNOWN, 'as it was']);
  expect(await ask(old.client, JOB.workflowId, query, { run: runOf('closed', 'TERMINATED') })).toBe('as it was');
  expect(old.asked).toEqual(['closed status:ended', 'closed status']);
});

test('that a worker cannot answer a query is said of that worker, not of this program', async () => {
  const why = 'A payload is encrypted with the key "a", and no payload keys are set here.';
  const refused = new QueryNotRegisteredError(why, GRPC.INVALID_ARGUMENT);
  const { client } = answering('RUNNING', [refused]);
  const failed = ask(client, JOB.workflowId, defineQuery<string>('status'));
  await expect(failed).rejects.toMatchObject({ name: 'WorkerFailed', taskQueue: 'q', reason: why, cause: refused });
});
