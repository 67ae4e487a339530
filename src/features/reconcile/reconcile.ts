import { DifferenceDoubtful } from './errors.ts';
import type { Difference } from './difference.ts';
import type { JobStatus } from '../../contract/job-status.ts';
import { doubtsAbout } from './doubts.ts';
import { backfillUpdate } from '../../workflows/messages.ts';
import type { ClientCore } from '../../client/job-client.ts';
import { updateJob } from '../../client/jobs/job-service.ts';
import { statusOf } from '../../client/jobs/stopped-jobs.ts';
import { deed, count } from '../../client/calls/kinds.ts';
import { InvalidRequest } from '../../client/calls/errors.ts';
import { checkOptions, type DeedOptions } from '../../client/calls/options.ts';
import { differenceId, flag, record } from '../../domain/kinds.ts';
import { forget } from './compare.ts';

export interface ReconcileOptions extends DeedOptions {
  /** Send a difference even if it looks like that of a wrong list. */
  readonly force?: boolean;
}

const OPTIONS = { ...deed, force: flag };
const DIFFERENCE = {
  id: differenceId,
  audience: record,
  first: record,
  theirs: count,
  members: count,
  both: count,
  enters: count,
  exits: count,
};

/** Has a job send a difference, as its next backfill. An empty one starts nothing. @throws DifferenceDoubtful unless `force`; RequestRefused */
export async function reconcile(
  core: ClientCore,
  jobId: string,
  difference: Difference,
  options: ReconcileOptions,
): Promise<JobStatus> {
  checkOptions(OPTIONS, options);
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

/** Checks a difference from a program: its counts decide whether it may be sent. @throws InvalidRequest */
function checkDifference(difference: Difference): void {
  checkOptions(DIFFERENCE, difference);
  const missing = Object.keys(DIFFERENCE).filter((field) => !Object.hasOwn(difference, field));
  if (missing.length > 0)
    throw new InvalidRequest(
      missing.map((field) => ({ field, message: 'This is missing: a difference is what `compare` gave.' })),
    );
}
