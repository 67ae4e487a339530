import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { type Stranger, originFault } from '../domain/origin-check.ts';

/** Stands on loopback in front of a server that does not ask whose pages it answers. */
export interface Front {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

export interface FrontOptions {
  /** 0: a free one. */
  readonly port: number;
  /** The server behind. */
  readonly to: { readonly host: string; readonly port: number };
  /** The name by which it is asked. Default: the one that the front was asked by. */
  readonly name?: string | undefined;
}

const HOST = '127.0.0.1';

const WORDS: Readonly<Record<Stranger, string>> = {
  PassedOn: 'This is for this machine only, and for nothing that a proxy passes on.',
  WrongHost: 'This is not asked by that name. Use 127.0.0.1 or localhost.',
  WrongOrigin: 'Pages of other sites may not ask.',
};

/**
 * Passes on what programs of this machine and the server's own pages ask, and nothing that a page of another origin does.
 * @throws the error from listening: the port is taken, say.
 */
export async function openFront({ port, to, name }: FrontOptions): Promise<Front> {
  const server = createServer((request, response) => {
    const stranger = originFault(request, true);
    if (stranger !== undefined) {
      // The rest of the body is not read.
      const headers = { 'content-type': 'application/json', connection: 'close' };
      response.writeHead(403, headers).end(JSON.stringify({ code: stranger, message: WORDS[stranger] }));
      return;
    }
    const { method, url: path, headers } = request;
    const asking = httpRequest({
      ...to,
      method,
      path,
      headers: name === undefined ? headers : { ...headers, host: name },
    });
    asking.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response, () => undefined);
    });
    asking.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.once('close', () => asking.destroy());
    request.pipe(asking);
  });
  await once(server.listen(port, HOST), 'listening');
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`, // It listens on a port.
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
