import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 means a free one. */
  readonly port: number;
  readonly contentType: string;
  /** Makes the answer of one scrape. */
  readonly text: () => Promise<string>;
}

/** A running metrics server. */
export interface MetricsServer {
  /** What to scrape: `http://127.0.0.1:9464/metrics`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves metrics to whoever asks: `GET /metrics`, and nothing else.
 * @throws the error from listening: the port is taken, say.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '').split('?');
    if (path === '/metrics' && request.method === 'GET') void respond(options, response);
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('Metrics are at /metrics.\n');
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The metrics server has no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${host}:${address.port}/metrics`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond({ contentType, text }: MetricsServerOptions, response: ServerResponse): Promise<void> {
  try {
    const body = await text();
    response.writeHead(200, { 'content-type': contentType }).end(body);
  } catch {
    response.writeHead(500, { 'content-type': 'text/plain' }).end('The metrics could not be collected.\n');
  }
}
