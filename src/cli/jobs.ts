import type { ExportJobs } from '../client/export-jobs.ts';
import { JobNotFound } from '../client/errors.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/config.ts';
import { jobIdOf } from '../domain/names.ts';

/** Connects, lets `use` do its work, and closes. */
export async function withJobs<T>(use: (jobs: ExportJobs) => Promise<T>): Promise<T> {
  const taskQueue = configuredTaskQueue();
  const payloadKeys = configuredPayloadKeys();
  // Loaded here, so that help and usage errors do not wait for gRPC.
  const { ExportJobs } = await import('../client/export-jobs.ts');
  const jobs = await ExportJobs.connect({ taskQueue, payloadKeys });
  try {
    return await use(jobs);
  } catch (error) {
    if (!(error instanceof JobNotFound)) throw error;
    throw new JobNotFound(error.jobId, { near: await nearestJob(jobs, error.jobId), cause: error });
  } finally {
    await jobs.close();
  }
}

/** The job that was most likely meant: by its workflow's id, as the Temporal UI shows it, or by an id much like it; undefined when none was. */
async function nearestJob(jobs: Pick<ExportJobs, 'list'>, typed: string): Promise<string | undefined> {
  try {
    const known = (await jobs.list()).map(({ jobId }) => jobId);
    const named = jobIdOf(typed);
    return known.includes(named) ? named : nearestKey(named, known);
  } catch {
    // What was asked for has failed already, and that is what is to be said.
    return undefined;
  }
}
