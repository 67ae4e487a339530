import { Client, Connection } from '@temporalio/client';
import { expect, test } from '@jest/globals';
import { GRPC } from '../../src/client/server-errors.ts';
import { startGrpcServer, UNIMPLEMENTED } from '../client/a-grpc-server.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

const { NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE } = GRPC;
const OK = 0;

test.each([
  ['does not know who it is', UNAUTHENTICATED, UNAUTHENTICATED, 'NotLetIn', /^Temporal denies permission/],
  ['lets it only look', OK, PERMISSION_DENIED, 'NotLetIn', /^Temporal denies permission/],
  ['has no such namespace', NOT_FOUND, NOT_FOUND, 'NamespaceNotFoundError', /^Temporal has no namespace "ours"\.$/],
  ['is away', UNAVAILABLE, UNAVAILABLE, 'ServerUnreachable', /^Temporal does not answer\.$/],
])(
  'an API whose Temporal %s lives, is not ready, and says why by the code of all errors',
  async (_, described, signalled, code, detail) => {
    const api = await apiAt({ DescribeNamespace: described, SignalWorkflowExecution: signalled });
    expect(await askOf(api, '/readyz')).toMatchObject({
      status: 503,
      headers: { 'content-type': 'application/problem+json; charset=utf-8', 'retry-after': '2' },
      body: { status: 503, code, detail: expect.stringMatching(detail) },
    });
    expect(await askOf(api, '/healthz')).toMatchObject({ status: 200, body: { ok: true } });
    await api.close();
  },
);

test('an API that may signal is ready, also where it may not look at the namespace', async () => {
  const api = await apiAt({ DescribeNamespace: PERMISSION_DENIED, SignalWorkflowExecution: NOT_FOUND });
  expect(await askOf(api, '/readyz')).toMatchObject({ status: 200, body: { ok: true } });
  await api.close();
});

test('an API whose changed configuration cannot be used says so, and is ready: it goes on by the one before', async () => {
  let problem: string | undefined = 'The changed configuration cannot be used.';
  const api = await apiAt(
    { DescribeNamespace: OK, SignalWorkflowExecution: NOT_FOUND },
    { configProblem: () => problem },
  );
  expect(await askOf(api, '/readyz')).toMatchObject({ status: 200, body: { ok: true, problem } });
  problem = undefined;
  expect((await askOf(api, '/readyz')).body).toEqual({ ok: true });
  await api.close();
});

test('however often somebody asks whether an API is ready, Temporal is asked once in a while', async () => {
  let questions = 0;
  const api = await apiAt({}, {}, () => {
    questions += 1;
    return NOT_FOUND;
  });
  for (let i = 0; i < 20; i++) expect((await askOf(api, '/readyz')).status).toBe(503);
  expect(questions).toBe(1);
  await api.close();
});

/** An API in front of a Temporal that answers so, by method. */
async function apiAt(
  statuses: Readonly<Record<string, number>>,
  more: Parameters<typeof apiWithoutTemporal>[1] = {},
  statusOf = (method: string): number => statuses[method] ?? UNIMPLEMENTED,
): ReturnType<typeof apiWithoutTemporal> {
  const server = await startGrpcServer(statusOf);
  const client = new Client({ connection: Connection.lazy({ address: server.address }), namespace: 'ours' });
  const api = await apiWithoutTemporal({}, { client, ...more });
  return {
    ...api,
    close: async () => {
      await api.close();
      await client.connection.close();
      server.close();
    },
  };
}
