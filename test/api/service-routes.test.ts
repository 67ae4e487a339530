import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { GRPC } from '../../src/client/calls/server-errors.ts';
import { startGrpcServer, UNIMPLEMENTED } from '../client/a-grpc-server.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

describe('routes that need no key', () => {
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

  test('the API asks Temporal once in a while, however often somebody asks whether it is ready', async () => {
    let questions = 0;
    const api = await apiAt({}, () => {
      questions += 1;
      return NOT_FOUND;
    });
    for (let i = 0; i < 20; i++) expect((await askOf(api, '/readyz')).status).toBe(503);
    expect(questions).toBe(1);
    await api.close();
  });

  test('the API checks everything once in a while, however often somebody asks for its health', async () => {
    let questions = 0;
    const api = await apiAt({}, () => {
      questions += 1;
      return NOT_FOUND;
    });
    for (let i = 0; i < 20; i++) expect(await askOf(api, '/v1/health')).toMatchObject({ body: { state: 'failed' } });
    expect(questions).toBe(1);
    await api.close();
  });

  /** An API in front of a Temporal that answers so, by method. */
  async function apiAt(
    statuses: Readonly<Record<string, number>>,
    statusOf = (method: string): number => statuses[method] ?? UNIMPLEMENTED,
  ): ReturnType<typeof apiWithoutTemporal> {
    const server = await startGrpcServer(statusOf);
    const client = new Client({ connection: Connection.lazy({ address: server.address }), namespace: 'ours' });
    const api = await apiWithoutTemporal({}, { client });
    return {
      ...api,
      close: async () => {
        await api.close();
        await client.connection.close();
        server.close();
      },
    };
  }
});

describe('a silent Temporal', () => {
  test('a trigger waits no longer than is promised for a Temporal that takes connections and never answers', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo; // It listens at a port.
    const client = new Client({ connection: Connection.lazy({ address: `127.0.0.1:${port}` }) });
    const api = await apiWithoutTemporal({}, { client });
    const askedAt = performance.now();
    const body = { audience: 'vip', user: '1', event: 'enter' };
    expect(await askOf(api, '/v1/jobs/crm/triggers', { body })).toMatchObject({
      status: 503,
      body: { code: 'ServerUnreachable' },
    });
    expect(performance.now() - askedAt).toBeLessThan(20_000);
    await client.connection.close();
    await api.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
});
