import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach } from '@jest/globals';

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** What is closed after the test, whatever its outcome. */
export function afterwards(close: () => Promise<void>): void {
  open.push(close);
}

const openForFile: (() => Promise<unknown>)[] = [];

afterAll(async () => {
  for (const close of openForFile.splice(0).toReversed()) await close();
});

/** What is closed after all tests of the file, the last opened first: an API before the lab whose jobs it serves. */
export function afterFile(close: () => Promise<unknown>): void {
  openForFile.push(close);
}

/** Lets a server listen on this machine and returns its port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return address.port;
}

/** Lets a server listen on this machine until the test is over. */
export async function serve(server: Server): Promise<{ port: number; connections: Set<Socket> }> {
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => connections.add(socket.on('error', () => undefined)));
  const port = await listen(server);
  afterwards(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of connections) socket.destroy();
    await closed;
  });
  return { port, connections };
}

/** Answers HTTP on this machine until the test is over; returns its origin. */
export async function serveHttp(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${(await serve(createHttpServer(listener))).port}`;
}

/** Resolves when the other side has closed each of them. */
export async function closing(sockets: Iterable<Socket>): Promise<void> {
  for (const socket of sockets) if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** A server without HTTP of its own: `answer` gets the socket of every request and may do with it what it likes. */
export async function startRawServer(
  answer: (socket: Socket) => void,
): Promise<{ url: URL; connections: Set<Socket> }> {
  const { port, connections } = await serve(createServer((socket) => socket.once('data', () => answer(socket))));
  return { url: new URL(`http://127.0.0.1:${port}/`), connections };
}
