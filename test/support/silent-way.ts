import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to an address that can be cut, or fall silent: it is there, and nothing comes. */
export async function aWayTo(address: string) {
  const [hostname, port] = address.split(':');
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((from) => {
    if (isSilent) return void sockets.add(from.on('error', () => undefined));
    const to = connect(Number(port), hostname);
    for (const socket of [from, to]) sockets.add(socket.on('error', () => undefined));
    from.pipe(to).pipe(from);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = server.address() as AddressInfo; // It listens at a port.
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const silence = (): void => {
    isSilent = true;
    for (const socket of sockets) socket.unpipe();
  };
  return { host: own.address, port: own.port, silence, close };
}
