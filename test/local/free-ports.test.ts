import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { freePorts } from '../../src/local/free-ports.ts';

test('ports differ, are small enough and can be listened to', async () => {
  const ports = await freePorts(5, 20_000);
  expect(new Set(ports).size).toBe(5);
  expect(Math.max(...ports)).toBeLessThanOrEqual(20_000);
  const servers = ports.map((port) => createServer().listen(port, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
});
