import type { Difference } from '../../contract/difference.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { doubtsAbout } from '../../domain/difference.ts';
import { backfillUpdate } from '../../workflows/messages.ts';
import { DifferenceDoubtful } from '../errors.ts';
import type { ClientCore } from '../job-client.ts';
import { updateJob } from '../jobs/job-service.ts';
import { statusOf } from '../jobs/stopped-jobs.ts';
import { checkDifference, checkOptions, type DeedOptions, OPTIONS } from '../options.ts';
import { forget } from './compare.ts';

export interface ReconcileOptions extends DeedOptions {
  /** Send a difference even if it looks like that of a wrong list. */
  readonly force?: boolean;
}

/** Has a job send a difference, as its next backfill. An empty one starts nothing. @throws DifferenceDoubtful unless `force`; RequestRefused */
export async function reconcile(
  core: ClientCore,
  jobId: string,
  difference: Difference,
  options: ReconcileOptions,
): Promise<JobStatus> {
  checkOptions(OPTIONS.reconcile, options);
  checkDifference(difference);
  const { id, audience, enters, exits } = difference;
  const doubts = doubtsAbout(difference);
  if (doubts.length > 0 && options.force !== true) throw new DifferenceDoubtful(difference, doubts);
  const client = core.open();
  if (enters + exits === 0) {
    await forget(core, jobId, difference);
    return await statusOf(client, jobId);
  }
  return await updateJob(client, jobId, backfillUpdate, [
    { requestId: id, at: core.clock(), audiences: [audience.id], difference: { id, enters, exits } },
    core.byOf(options),
  ]);
}
