import { JobNotFound } from '../../client/calls/errors.ts';

/** A job that nobody knows, and of which the delivery log has deliveries, was meant: Temporal has forgotten it. */
export async function forgottenJob(error: unknown): Promise<unknown> {
  if (!(error instanceof JobNotFound)) return error;
  // Loaded here, since a command seldom fails so.
  const { withDeliveryLog } = await import('./configured.ts');
  const isLogged = withDeliveryLog(async (reader) => await reader.hasJob(error.jobId));
  return (await isLogged.catch(() => false))
    ? new JobNotFound(error.jobId, { isForgotten: true, cause: error })
    : error;
}
