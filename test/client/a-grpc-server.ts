import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

/** Not compressed, and without a single field. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** A status other than 0 with what the server says of it: a message `google.rpc.Status`. */
export interface DetailedStatus {
  readonly status: number;
  readonly details?: Uint8Array;
}

/** A server on gRPC that answers every call with a status, and an empty message where that is 0, or never, by the name of its method. */
export async function startGrpcServer(
  statusOf: (method: string) => number | DetailedStatus | undefined,
): Promise<{ readonly address: string; close(): void }> {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    const answer = statusOf(String(headers[':path']).split('/').at(-1) ?? '');
    if (answer === undefined) return;
    const { status, details } = typeof answer === 'number' ? { status: answer } : answer;
    const head = { ':status': 200, 'content-type': 'application/grpc' };
    const said = details === undefined ? {} : { 'grpc-status-details-bin': Buffer.from(details).toString('base64') };
    if (status !== 0) return stream.respond({ ...head, ...said, 'grpc-status': String(status) }, { endStream: true });
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(EMPTY_MESSAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // It listens on a port.
  return { address: `127.0.0.1:${port}`, close: () => server.close() };
}

/** What a server that is older than a method answers. */
export const UNIMPLEMENTED = 12;
