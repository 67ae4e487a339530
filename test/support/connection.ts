import { Connection, type ConnectionOptions } from '@temporalio/client';
import { retriesWhileOpen } from '../../src/client/calls/connect.ts';

/** A connection that does not retry a call after it was closed: such a retry fails in another file of the same process. */
export async function connect(address: string, options: ConnectionOptions = {}): Promise<Connection> {
  return await Connection.connect({ ...options, address, interceptors: [retriesWhileOpen()] });
}
