import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { expect, test } from '@jest/globals';
import { apiWithoutTemporal, askOf } from './an-api.ts';

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
