import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { temporal } from './temporal.ts';

/** What clients see of a server: it can be away, be back at the same port, or fall silent: it is there, and nothing comes. */
export class Way {
  readonly host = '127.0.0.1';
  port = 0;
  /** When somebody tried it while it was cut. */
  readonly triedAtMs: number[] = [];
  readonly #to: string;
  #server: Server | undefined;
  #isSilent = false;
  #isCut = false;
  readonly #sockets = new Set<Socket>();

  /** @param to the server's host and port. */
  constructor(to = temporal.address) {
    this.#to = to;
  }

  get address(): string {
    return `${this.host}:${this.port}`;
  }

  async open(): Promise<void> {
    const [host, port] = this.#to.split(':');
    const server = createServer((from) => {
      this.#keep(from);
      if (this.#isSilent) return;
      if (this.#isCut) {
        this.triedAtMs.push(performance.now());
        from.destroy();
        return;
      }
      const to = connect(Number(port), host);
      this.#keep(to);
      from.pipe(to).pipe(from);
    });
    server.listen(this.port, this.host);
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port; // It listens at a port.
    this.#server = server;
  }

  silence(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.unpipe();
  }

  /** Ends every connection at once, until `restore`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  restore(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    const closed = this.#server === undefined ? Promise.resolve() : once(this.#server, 'close');
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket));
  }
}
