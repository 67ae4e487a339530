import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { shownTo } from '../../src/api/watch-routes.ts';
import { ExportJobs, type WatchStatus } from '../../src/client/export-jobs.ts';
import { GRPC } from '../../src/client/server-errors.ts';
import { newApiKey } from '../../src/config/references.ts';
import { startGrpcServer, UNIMPLEMENTED } from '../client/a-grpc-server.ts';
import { apiWithoutTemporal, askOf } from './an-api.ts';

const watch: WatchStatus = {
  v: 1,
  state: 'waiting',
  audience: { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' },
  everyMs: 60_000,
  existingUsers: false,
  largestExitPercent: 20,
  rounds: 1,
  enters: 1,
  exits: 0,
  last: {
    at: '2026-11-27T08:30:00Z',
    members: 1,
    enters: 1,
    exits: 0,
    stayed: 0,
    durationMs: 5,
    isBaseline: false,
    published: {
      jobs: 2,
      unreadable: ['crm', 'theirs'],
      behind: ['theirs'],
      lost: [{ jobId: 'theirs', from: '2026-11-27T08:00:00Z', to: '2026-11-27T08:30:00Z' }],
    },
  },
};

test('[S34] a watch tells a key for some jobs nothing of other jobs', () => {
  const own = shownTo({ jobs: ['crm'], mayJob: (jobId) => jobId === 'crm' }, watch);
  expect(own.last).toMatchObject({ members: 1, published: { jobs: 2, unreadable: ['crm'], behind: [], lost: [] } });
  expect(JSON.stringify(own)).not.toContain('theirs');
  expect(shownTo({ mayJob: () => true }, watch)).toBe(watch);
});

test('[S34] the list of watches and a single watch show a key for some jobs nothing of other jobs', async () => {
  const { secret, hash } = newApiKey();
  const jobs = new ExportJobs(
    new Client({ connection: Connection.lazy({ address: '127.0.0.1:1', interceptors: [] }) }),
  );
  Object.assign(jobs.watches, {
    list: async () => await Promise.resolve([{ audience: watch.audience, status: watch }]),
    status: async () => await Promise.resolve(watch),
  });
  const api = await apiWithoutTemporal({ some: { hash, may: ['read'], jobs: ['crm'] } }, { jobs });
  try {
    for (const path of ['/v1/watches', '/v1/watches/vip']) {
      const { status, body } = await askOf(api, path, { headers: { authorization: `Bearer ${secret}` } });
      expect([path, status]).toEqual([path, 200]);
      expect(JSON.stringify(body)).toContain('crm');
      expect(JSON.stringify(body)).not.toContain('theirs');
    }
  } finally {
    await api.close();
    await jobs.close();
  }
});

const ACTIONS = [
  ['/v1/watches', { audiences: ['vip'] }],
  ...['now', 'accept', 'stop'].map((name) => [`/v1/watches/vip/${name}`, undefined] as const),
] as const;

test.each(ACTIONS)(
  'a key that may only read, or is for some jobs, is refused POST %s, which affects every job',
  async (path, body) => {
    const secrets = { reads: newApiKey(), some: newApiKey() };
    const api = await apiWithoutTemporal({
      reads: { hash: secrets.reads.hash, may: ['read', 'trigger'] },
      some: { hash: secrets.some.hash, may: ['read', 'operate'], jobs: ['crm'] },
    });
    const told = async ({ secret }: { readonly secret: string }) =>
      await askOf(api, path, { method: 'POST', body, headers: { authorization: `Bearer ${secret}` } });
    try {
      expect(await told(secrets.reads)).toMatchObject({
        status: 403,
        body: { detail: expect.stringContaining('"operate"') },
      });
      expect(await told(secrets.some)).toMatchObject({
        status: 403,
        body: { code: 'NotAllowed', detail: expect.stringContaining('for some jobs only') },
      });
    } finally {
      await api.close();
    }
  },
);

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

  test('an API whose changed configuration is unusable says so, stays ready, and keeps the one before', async () => {
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

  test('the API asks Temporal once in a while, however often somebody asks whether it is ready', async () => {
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
