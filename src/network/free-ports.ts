import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

const HOST = '127.0.0.1';
/** Below are those of common services. */
const SMALLEST = 10_000;

/**
 * Different ports of loopback that are free: all are held open until the last is known.
 *
 * @param largest no port above it, for callers that need ports which the system does not assign; default: any that the system assigns.
 */
export async function freePorts(count: number, largest?: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const port = largest === undefined ? 0 : SMALLEST + Math.floor(Math.random() * (largest - SMALLEST + 1));
    const server = createServer();
    const isFree = await once(server.listen(port, HOST), 'listening').catch(() => false);
    if (isFree !== false) servers.push(server);
    else if (largest === undefined) throw new Error(`There is no free port on ${HOST}.`);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port); // It listens on a port.
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** One such port. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}
