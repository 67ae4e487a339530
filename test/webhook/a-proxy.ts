import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect as connectTo, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Issued } from './a-certificate-authority.ts';
import { serve } from './a-server.ts';

export interface Proxy {
  /** Its URL, with a user name and a password. */
  readonly url: string;
  /** The destinations that it was asked to open tunnels to. */
  readonly asked: string[];
  readonly credentials: (string | undefined)[];
  /** The names that TLS connections to it were opened for. */
  readonly names: (string | false | null)[];
  /** The subjects of the client certificates that it was presented; undefined for none. */
  readonly clients: (string | string[] | undefined)[];
}

type Way = 'opens' | 'refuses' | 'cannot reach';

export interface ProxyOptions {
  /** What it does. With a list, it does these things one after another and then opens tunnels. Default: it opens tunnels. */
  readonly way?: Way | Way[];
  /** If given, it speaks TLS, as `localhost`. */
  readonly issued?: Issued;
}

/** An HTTP proxy that opens tunnels. */
export async function startProxy({ way = 'opens', issued }: ProxyOptions = {}): Promise<Proxy> {
  const asked: string[] = [];
  const credentials: (string | undefined)[] = [];
  const names: (string | false | null)[] = [];
  const clients: (string | string[] | undefined)[] = [];
  const server: Server =
    issued === undefined
      ? createServer()
      : createTlsServer({ cert: issued.certificate, key: issued.key, requestCert: true, rejectUnauthorized: false });
  server.on('secureConnection', (socket: TLSSocket) => {
    names.push(socket.servername);
    clients.push(socket.getPeerCertificate().subject?.CN);
  });
  server.on('connect', ({ url = '', headers }, socket: Socket) => {
    asked.push(url);
    credentials.push(headers['proxy-authorization']);
    const now = Array.isArray(way) ? way.shift() : way;
    if (now === 'refuses') return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    if (now === 'cannot reach') return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const [host = '', port] = url.split(':');
    const behind = connectTo(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      behind.pipe(socket).pipe(behind);
    });
    behind.on('error', () => socket.destroy());
    socket.on('error', () => undefined).on('close', () => behind.destroy());
  });
  const { port } = await serve(server);
  const origin = issued === undefined ? `127.0.0.1:${port}` : `localhost:${port}`;
  const protocol = issued === undefined ? 'http' : 'https';
  return { url: `${protocol}://user:p%40ss@${origin}`, asked, credentials, names, clients };
}
