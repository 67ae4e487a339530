import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { temporal } from './temporal.ts';

/** What clients see of the server: it can be away, and be back at the same port. */
export class Way {
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  port = 0;

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

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
