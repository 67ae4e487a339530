import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { freePort } from '../src/network/free-ports.ts';
import type { SoakLedger } from './soak-ledger.ts';

/** An endpoint that is dead at first (connections are refused), and then answers 200 to everything; it keeps nothing but its ledger. */
export class SoakEndpoint {
  readonly url: string;
  readonly #port: number;
  readonly #ledger: SoakLedger;
  #server: Server | undefined;

  /** Finds a port, and lets nobody listen there. */
  static async reserve(ledger: SoakLedger): Promise<SoakEndpoint> {
    return new SoakEndpoint(await freePort(), ledger);
  }

  private constructor(port: number, ledger: SoakLedger) {
    this.#port = port;
    this.#ledger = ledger;
    this.url = `http://127.0.0.1:${port}/soak`;
  }

  async heal(): Promise<void> {
    this.#server = createServer((request, response) => {
      hearOut(request, (body) => {
        this.#ledger.take(numberIn(body));
        response.end();
      });
    });
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
  }

  async close(): Promise<void> {
    if (this.#server === undefined) return;
    this.#server.closeAllConnections();
    await once(this.#server.close(), 'close');
  }
}

function hearOut(request: IncomingMessage, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => done(Buffer.concat(chunks).toString()));
}

/** The number of a trigger is in its time: so many nanoseconds. */
function numberIn(body: string): number {
  return Number(/"(?:enter|exit)":"[^"]*\.(\d{9})Z"/.exec(body)?.[1]);
}
