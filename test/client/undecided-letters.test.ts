import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { notAllDone } from '../../src/cli/commands/dead-letters.ts';
import { DeadLetters } from '../../src/client/dead-letters.ts';
import { GRPC } from '../../src/client/server-errors.ts';
import { serverError } from './recorded-job.ts';

/** A dead letter that takes the first signal, of which the caller hears nothing, and that answers no question for a while after that. */
function busy(silences: number) {
  let [signals, questions] = [0, 0];
  const state = () => (signals === 0 ? 'waiting' : 'redelivered');
  const handle = {
    signal: async () => {
      signals++;
      // The server no longer takes signals for one that has ended.
      if (signals > 1) throw serverError(GRPC.NOT_FOUND);
      await Promise.reject(serverError(GRPC.UNAVAILABLE));
    },
    query: async () => {
      questions += signals;
      if (questions > 0 && questions <= silences) throw serverError(GRPC.DEADLINE_EXCEEDED);
      return await Promise.resolve({ state: state(), jobId: 'vip', user: 'ada', audience: { id: 'a', slug: 'vip' } });
    },
    describe: async () => await Promise.resolve({ runId: 'one', taskQueue: 'q', status: { name: 'RUNNING' } }),
  };
  const client = {
    workflow: { getHandle: () => handle },
    workflowService: { describeTaskQueue: async () => await Promise.resolve({ pollers: [] }) },
    options: { namespace: 'default' },
    withDeadline: async (_: number, call: () => Promise<unknown>) => await call(),
    withAbortSignal: async (_: AbortSignal, call: () => Promise<unknown>) => await call(),
  };
  return new DeadLetters(() => client as unknown as Client, 'q'); // All of a client that a decision about one uses.
}

test('a decision about a dead letter is asked about until it is known: no answer is no failure', async () => {
  expect(await busy(2).redeliver('36e243f8fd8f4530bbd330fa7fb1a685-0')).toEqual({ done: 1, failures: [] });
});

test('what is not known to have been redelivered is not called a failure', () => {
  const failures = [
    { id: 'a', reason: 'gone' },
    ...['b', 'c'].map((id) => ({ id, reason: '?', isUnknown: true as const })),
  ];
  const { message, ...data } = notAllDone(493, failures, 'redelivered');
  expect(data).toMatchObject({ done: 493, failed: 1, unknown: 2 });
  expect(message).toBe(
    '1 dead letter could not be redelivered. It is not known whether 2 dead letters were redelivered. To find out, run the command again: nothing is done twice.',
  );
});
