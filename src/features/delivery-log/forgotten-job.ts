import { JobNotFound } from '../../client/calls/errors.ts';

/** Returns a failure that says so where Temporal has forgotten a job, and the delivery log still has its deliveries. Returns any other as it is. */
export async function forgottenJob(error: unknown): Promise<unknown> {
  if (!(error instanceof JobNotFound)) return error;
  // Loaded here, since a command seldom fails so.
  const { withDeliveryLog } = await import('./configured.ts');
  const isLogged = withDeliveryLog(async (reader) => await reader.hasJob(error.jobId));
  return (await isLogged.catch(() => false))
    ? new JobNotFound(error.jobId, { isForgotten: true, cause: error })
    : error;
}
