import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { type ConnectedClient, connectClient } from '../../src/client/connect.ts';
import { temporal } from '../support/temporal.ts';

/** What clients see of the server: it can be away, and be back at the same port. */
class Way {
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  port = 0;

  async open(): Promise<void> {
    const [host = '', port] = temporal.address.split(':');
    const server = createServer((socket) => {
      const on = connect(Number(port), host);
      for (const one of [socket, on]) {
        this.#sockets.add(one);
        one.on('error', () => one.destroy()).on('close', () => this.#sockets.delete(one));
      }
      socket.pipe(on).pipe(socket);
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as { port: number }).port; // It listens at a port.
    this.#server = server;
  }

  async close(): Promise<void> {
    const closed = this.#server === undefined ? Promise.resolve() : once(this.#server, 'close');
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

const way = new Way();
let connected: ConnectedClient;
beforeAll(async () => {
  await way.open();
  const connectionOptions = { address: `127.0.0.1:${way.port}` };
  connected = await connectClient({ connectionOptions, namespace: 'default' }, []);
});
afterAll(async () => {
  await connected.close();
  await way.close();
});

async function isThere(): Promise<boolean> {
  const { client } = connected;
  return await client
    .withDeadline(Date.now() + 300, () => client.workflowService.describeNamespace({ namespace: 'default' }))
    .then(
      () => true,
      () => false,
    );
}

test('a server that was away for long is found within seconds when it is back, however often it was asked meanwhile', async () => {
  expect(await isThere()).toBe(true);
  await way.close();
  const awayUntil = performance.now() + 25_000;
  while (performance.now() < awayUntil) {
    expect(await isThere()).toBe(false);
    await setTimeout(200);
  }
  await way.open();
  const back = performance.now();
  while (!(await isThere())) await setTimeout(50);
  expect(performance.now() - back).toBeLessThan(5_000);
});
