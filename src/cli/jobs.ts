import type { ExportJobs } from '../client/export-jobs.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/config.ts';
import { codeOf } from '../domain/errors.ts';

/** Connects, lets `use` do its work, and closes. */
export async function withJobs<T>(use: (jobs: ExportJobs) => Promise<T>): Promise<T> {
  const taskQueue = configuredTaskQueue();
  const payloadKeys = configuredPayloadKeys();
  // Loaded here, so that help and usage errors do not wait for gRPC.
  const { ExportJobs } = await import('../client/export-jobs.ts');
  const jobs = await ExportJobs.connect({ taskQueue, payloadKeys });
  try {
    return await use(jobs);
  } finally {
    await jobs.close();
  }
}

/** Could not listen where it was asked to, because something else does: exit code 1. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly port: number;
  constructor(host: string, port: number, options?: ErrorOptions) {
    super(`Port ${port} on ${host} is taken. Choose another with --port (0: a free one).`, options);
    this.port = port;
  }
}

/**
 * A server that is being started.
 * @throws PortTaken
 */
export async function listening<T>(server: Promise<T>, { host, port }: { host: string; port: number }): Promise<T> {
  try {
    return await server;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw new PortTaken(host, port, { cause: error });
    throw error;
  }
}
