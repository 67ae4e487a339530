import { codeOf } from '../domain/errors.ts';

/** Could not listen where it was asked to, because something else does: exit code 1. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly port: number;
  constructor(host: string, port: number, option: string, options?: ErrorOptions) {
    super(`Port ${port} on ${host} is taken. Choose another with ${option} (0: a free one).`, options);
    this.port = port;
  }
}

/**
 * A server that is being started.
 * @throws PortTaken
 */
export async function listening<T>(
  server: Promise<T>,
  { host, port, option = '--port' }: { host: string; port: number; option?: string },
): Promise<T> {
  try {
    return await server;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw new PortTaken(host, port, option, { cause: error });
    throw error;
  }
}
