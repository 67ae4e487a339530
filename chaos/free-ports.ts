import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const SMALLEST = 10_000;

/** Ports of loopback that nobody listens to: all are held open until the last is known. */
export async function freePorts(count: number, largest: number): Promise<number[]> {
  const servers = new Map<number, Server>();
  while (servers.size < count) {
    const port = SMALLEST + Math.floor(Math.random() * (largest - SMALLEST + 1));
    if (servers.has(port)) continue;
    const server = createServer();
    const isFree = await once(server.listen(port, '127.0.0.1'), 'listening').catch(() => false);
    if (isFree !== false) servers.set(port, server);
  }
  await Promise.all([...servers.values()].map((server) => once(server.close(), 'close')));
  return [...servers.keys()];
}
