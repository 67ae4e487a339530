import type { ExportJobs } from '../client/export-jobs.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/config.ts';

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
