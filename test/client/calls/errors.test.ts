import { expect, test } from '@jest/globals';
import {
  InvalidJob,
  JobAlreadyRunning,
  JobFull,
  JobKept,
  JobNotFound,
  JobNotRunning,
  JobRecoverable,
  NotLetIn,
  NoWorker,
  OutcomeUnknown,
  PublishInterrupted,
  PushInterrupted,
  TriggersError,
} from '../../../src/client/calls/errors.ts';
import type { Remedy } from '../../../src/contract/remedy.ts';
import { GRPC, isTimeUp, isTransient } from '../../../src/client/calls/server-errors.ts';
import { serverError } from '../recorded-job.ts';
import { connectClient } from '../../../src/client/calls/connect.ts';
import { notLetIn, type TemporalProblem, temporalProblem } from '../../../src/client/calls/temporal-problem.ts';
import { startGrpcServer, UNIMPLEMENTED } from '../a-grpc-server.ts';

const LEFT = {
  ended: 'terminated',
  waiting: 8,
  backfill: false,
  letters: 0,
  recoverableUntil: '2026-11-30T14:10:42.283000000Z',
};
const actions = ({ remedies }: { readonly remedies: readonly Remedy[] }) => remedies.map(({ action }) => action);

test.each([
  ['kept', 'resume'],
  ['recoverable', 'recover'],
  [undefined, 'start'],
] as const)('a job that is not running and has left %s says to %s it', (left, action) => {
  expect(new JobNotRunning('vip', 'stopped', { left }).remedies).toEqual([{ action, job: 'vip' }]);
});

test('a job whose definition is wrong is to be started again, whatever it left', () => {
  expect(actions(new JobNotRunning('vip', 'failed', { left: 'recoverable', why: 'Its label is missing.' }))).toEqual([
    'start',
  ]);
});

test('each failure says what to do as data, best first', () => {
  expect(actions(new JobNotFound('vip'))).toEqual(['listJobs']);
  expect(actions(new JobAlreadyRunning('vip'))).toEqual(['status', 'edit']);
  expect(actions(new JobKept('vip', { waiting: 1, keptAt: '' }))).toEqual(['resume', 'discard']);
  expect(actions(new JobRecoverable('vip', LEFT))).toEqual(['recover', 'discardRecoverable']);
  expect(actions(new JobFull('vip'))).toEqual(['startWorker']);
  expect(actions(new NoWorker('q', undefined, 10_000))).toEqual(['startWorker']);
});

test('a push that ended early says what helps against its cause', () => {
  expect(actions(new PushInterrupted('vip', 1, 0, new JobFull('vip')))).toEqual(['startWorker']);
  expect(actions(new PushInterrupted('vip', 1, 0, new Error('gone')))).toEqual([]);
});

test('a request that no worker answered changed nothing, and only its own error says that', () => {
  const none = new NoWorker('q', 2_000, 10_000);
  const nothing = 'This request changed nothing.';
  expect(none.message).toContain(nothing);
  const unknown = new OutcomeUnknown('stop of the job "vip"', { action: 'status', job: 'vip' }, none);
  for (const wrapping of [unknown, new PushInterrupted('vip', 3, 0, none), new PublishInterrupted(3, [none])]) {
    expect(wrapping.message).toContain('It may be busy: check its log.');
    expect(wrapping.message).not.toContain(nothing);
  }
});

test('an error has the data of its class', () => {
  expect(new JobRecoverable('vip', LEFT)).toMatchObject({ jobId: 'vip', ...LEFT });
  expect(new InvalidJob([{ field: 'label', message: 'It is missing.' }])).toMatchObject({
    message: 'The job was not accepted.\n  label: It is missing.',
    headline: 'The job was not accepted.',
  });
  expect(new JobFull('vip', { cause: new Error('limit reached') })).toBeInstanceOf(TriggersError);
});

test('the client recognizes a timed-out call by either code that it may end with', () => {
  for (const code of [GRPC.DEADLINE_EXCEEDED, GRPC.CANCELLED]) {
    expect([isTimeUp(serverError(code)), isTransient(serverError(code))]).toEqual([true, true]);
  }
});

test('the client takes no other error for a timeout', () => {
  for (const code of [GRPC.UNAVAILABLE, GRPC.FAILED_PRECONDITION, GRPC.NOT_FOUND])
    expect(isTimeUp(serverError(code))).toBe(false);
  expect(isTimeUp(new Error('deadline'))).toBe(false);
});

/** What a server answers to a description of the namespace, and to a signal for nobody. */
async function problemWhen(described: number, signalled: number): Promise<TemporalProblem | undefined> {
  const server = await startGrpcServer(
    (method) => ({ DescribeNamespace: described, SignalWorkflowExecution: signalled })[method] ?? UNIMPLEMENTED,
  );
  const { client, close } = await connectClient(
    { connectionOptions: { address: server.address }, namespace: 'ours' },
    [],
  );
  try {
    return await temporalProblem(client);
  } finally {
    await close();
    server.close();
  }
}

const { NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, INVALID_ARGUMENT } = GRPC;
const OK = 0;

test.each([
  ['may describe the namespace and signal', OK, NOT_FOUND],
  ['may not describe the namespace, and may signal', PERMISSION_DENIED, NOT_FOUND],
])('a client that %s can work', async (_, described, signalled) => {
  expect(await problemWhen(described, signalled)).toBeUndefined();
});

test.each([
  ['may only look', OK, PERMISSION_DENIED],
  ['may do nothing', PERMISSION_DENIED, PERMISSION_DENIED],
  ['is not known', UNAUTHENTICATED, UNAUTHENTICATED],
])('a client that %s cannot work, and learns that it lacks permission', async (_, described, signalled) => {
  expect(await problemWhen(described, signalled)).toEqual({
    code: 'NotLetIn',
    message: expect.stringMatching(/denies permission.*TEMPORAL_API_KEY/),
  });
});

test('the error about a missing namespace names it', async () => {
  expect(await problemWhen(NOT_FOUND, NOT_FOUND)).toEqual({
    code: 'NamespaceNotFoundError',
    message: 'Temporal has no namespace "ours".',
  });
});

test('a server with an unexpected answer counts as unreachable', async () => {
  expect(await problemWhen(INVALID_ARGUMENT, NOT_FOUND)).toEqual({
    code: 'ServerUnreachable',
    message: 'Temporal does not answer.',
  });
});

test('a server that denies access is not reported as unreachable', async () => {
  const server = await startGrpcServer(() => UNAUTHENTICATED);
  try {
    const connecting = connectClient({ connectionOptions: { address: server.address }, namespace: 'ours' }, []);
    await expect(connecting).rejects.toThrow(NotLetIn);
  } finally {
    server.close();
  }
});

test('a push without permission says so, whatever its calls were', async () => {
  const server = await startGrpcServer((method) => (method === 'GetSystemInfo' ? UNIMPLEMENTED : PERMISSION_DENIED));
  const { client, close } = await connectClient(
    { connectionOptions: { address: server.address }, namespace: 'ours' },
    [],
  );
  const refusal = await client.workflow
    .getHandle('export-job-vip')
    .describe()
    .catch((error: unknown) => error);
  expect(NotLetIn.of(refusal)).toBeInstanceOf(NotLetIn);
  expect(new PushInterrupted('vip', 0, 0, refusal).message).toMatch(
    /^Nothing was sent to "vip": Temporal denies permission/,
  );
  expect(await notLetIn(client, 'ours')).toBeInstanceOf(NotLetIn);
  expect(NotLetIn.of(new Error('gone'))).toBeUndefined();
  await close();
  server.close();
});
