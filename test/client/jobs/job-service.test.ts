import { expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { queryStatus, startJobWorkflow } from '../../../src/client/jobs/job-service.ts';
import { FORM_DEFAULTS } from '../../../src/domain/job-form.ts';
import { GRPC, grpcCode } from '../../../src/client/server-errors.ts';
import { aStatus } from '../../cli/a-status.ts';
import { serverError } from '../recorded-job.ts';

/** A client whose server answers the questions to a job with this, one after the other. */
function clientOf(answers: (() => Promise<unknown>)[]): Client {
  const handle = { query: () => answers.shift()?.() };
  return {
    workflow: { getHandle: () => handle },
    withDeadline: (_: number, call: () => unknown) => call(),
    withAbortSignal: (_: AbortSignal, call: () => unknown) => call(),
  } as unknown as Client; // All of a client that is used here.
}

test.each(['UNAVAILABLE', 'RESOURCE_EXHAUSTED', 'UNKNOWN'] as const)(
  'a job is asked again when the server has trouble (%s)',
  async (code) => {
    const client = clientOf([() => Promise.reject(serverError(GRPC[code])), () => Promise.resolve(aStatus())]);
    expect(await queryStatus(client, 'vip')).toEqual(aStatus());
  },
);

test('a job is not asked again when the server would refuse again', async () => {
  const client = clientOf([() => Promise.reject(serverError(GRPC.INVALID_ARGUMENT))]);
  await expect(queryStatus(client, 'vip')).rejects.toThrow(serverError(GRPC.INVALID_ARGUMENT));
});

test('a job that has had nothing to do for long is not said to be as fast as it was', async () => {
  const dayAgoMs = Date.now() - 86_400_000;
  const ratePerSecond = { oneMinute: 302, fiveMinutes: 300, atMs: dayAgoMs, sinceMs: dayAgoMs };
  const status = await queryStatus(clientOf([() => Promise.resolve(aStatus({ ratePerSecond }))]), 'vip');
  expect(status.ratePerSecond).toEqual({ oneMinute: 0, fiveMinutes: 0 });
});

/** How often a server is asked that refuses the first start, and what comes of it. */
async function started(missingSearchAttributes: readonly string[]): Promise<{ calls: number; outcome: unknown }> {
  let calls = 0;
  const start = async () => {
    if (++calls === 1) throw serverError(GRPC.INVALID_ARGUMENT);
    return await Promise.resolve({ firstExecutionRunId: 'a run' });
  };
  const client = { workflow: { start } } as unknown as Client; // All of a client that is used here.
  const definition = {
    ...FORM_DEFAULTS,
    label: 'VIP',
    audiences: [],
    webhookUrl: 'https://example.com/hook',
    authorization: null,
    exportFields: [],
  };
  const job = { definition, audiences: [], missingSearchAttributes };
  const outcome = await startJobWorkflow(client, 'vip', 'q', {}, job).catch(grpcCode);
  return { calls, outcome };
}

test('a start is tried again while the server does not take search attributes yet that it lists', async () => {
  expect(await started([])).toEqual({ calls: 2, outcome: 'a run' });
});

test('a start without search attributes that the server refuses is not tried again', async () => {
  expect(await started(['ExportJobStatus'])).toEqual({ calls: 1, outcome: GRPC.INVALID_ARGUMENT });
});
