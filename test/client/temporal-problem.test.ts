import { expect, test } from '@jest/globals';
import { connectClient } from '../../src/client/connect.ts';
import { NotLetIn, PushInterrupted } from '../../src/client/errors.ts';
import { GRPC } from '../../src/client/server-errors.ts';
import { notLetIn, type TemporalProblem, temporalProblem } from '../../src/client/temporal-problem.ts';
import { startGrpcServer, UNIMPLEMENTED } from './a-grpc-server.ts';

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
])('whoever %s can work', async (_, described, signalled) => {
  expect(await problemWhen(described, signalled)).toBeUndefined();
});

test.each([
  ['may only look', OK, PERMISSION_DENIED],
  ['may do nothing', PERMISSION_DENIED, PERMISSION_DENIED],
  ['is not known', UNAUTHENTICATED, UNAUTHENTICATED],
])('whoever %s cannot work, and is told that it is about who they are', async (_, described, signalled) => {
  expect(await problemWhen(described, signalled)).toEqual({
    code: 'NotLetIn',
    message: expect.stringMatching(/denies permission.*TEMPORAL_API_KEY/),
  });
});

test('a namespace that is not there is named', async () => {
  expect(await problemWhen(NOT_FOUND, NOT_FOUND)).toEqual({
    code: 'NamespaceNotFoundError',
    message: 'Temporal has no namespace "ours".',
  });
});

test('a server that answers something else is taken for away', async () => {
  expect(await problemWhen(INVALID_ARGUMENT, NOT_FOUND)).toEqual({
    code: 'ServerUnreachable',
    message: 'Temporal does not answer.',
  });
});

test('a server that lets nobody in is not taken for one that is away', async () => {
  const server = await startGrpcServer(() => UNAUTHENTICATED);
  try {
    const connecting = connectClient({ connectionOptions: { address: server.address }, namespace: 'ours' }, []);
    await expect(connecting).rejects.toThrow(NotLetIn);
  } finally {
    server.close();
  }
});

test('a push that was not let in says so, whatever its calls were', async () => {
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
