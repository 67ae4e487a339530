import { createServer, type Server, type Socket } from 'node:net';
import { afterEach } from '@jest/globals';

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** What is closed after the test, whatever its outcome. */
export function afterwards(close: () => Promise<void>): void {
  open.push(close);
}

/** Lets a server listen on this machine and returns its port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return address.port;
}

/** Resolves when the other side has closed each of them. */
export async function closing(sockets: Iterable<Socket>): Promise<void> {
  for (const socket of sockets) if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** A server without HTTP of its own: `answer` gets the socket of every request and may do with it what it likes. */
export async function startRawServer(
  answer: (socket: Socket) => void,
): Promise<{ url: URL; connections: Set<Socket> }> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  const port = await listen(server);
  afterwards(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of connections) socket.destroy();
    await closed;
  });
  return { url: new URL(`http://127.0.0.1:${port}/`), connections };
}
