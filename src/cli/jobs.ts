import type { ExportJobs } from '../client/export-jobs.ts';
import { JobNotFound, ServerUnreachable } from '../client/errors.ts';
import { nearestKey } from '../contract/nearest-key.ts';
import { configuredPayloadKeys, configuredTaskQueue } from '../config/config.ts';
import { jobIdOf } from '../domain/names.ts';

/** How long a server that is away is waited for: until a time in terms of `performance.now()`, or until it is interrupted. */
export interface WaitForServer {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Called before each pause. */
  readonly onPause: () => void;
}

/**
 * Connects, lets `use` do its work, and closes.
 * @param wait default: a server that does not answer is told at once, since its address may be wrong
 */
export async function withJobs<T>(use: (jobs: ExportJobs) => Promise<T>, wait?: WaitForServer): Promise<T> {
  const taskQueue = configuredTaskQueue();
  const payloadKeys = configuredPayloadKeys();
  // Loaded here, so that help and usage errors do not wait for gRPC.
  const { ExportJobs } = await import('../client/export-jobs.ts');
  const { withRetries, unless } = await import('../client/push/with-retries.ts');
  const connect = async () => await ExportJobs.connect({ taskQueue, payloadKeys });
  const mayHelp = (error: unknown) => error instanceof ServerUnreachable;
  const jobs =
    wait === undefined
      ? await connect()
      : await withRetries(() => unless(wait.signal, connect()), { ...wait, mayHelp });
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
