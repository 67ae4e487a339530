import type { Client } from '@temporalio/client';
import type { JobDefinitionInput, JobEdit, Problem } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import { editUpdate } from '../workflows/messages.ts';
import { prepare } from './ask-worker.ts';
import { InvalidJob } from './errors.ts';
import { describeJob, statusWhen, updateJob } from './job-service.ts';
import { START_WAIT_MS } from './start-job.ts';

export interface EditedJob {
  readonly status: JobStatus;
  readonly warnings: readonly string[];
  /** False: recorded, but not yet in effect when the wait ended; see the notices in the status. */
  readonly inEffect: boolean;
}

const EDIT_WAIT_MS = 15_000;

const NOT_EDITABLE: Problem = {
  field: 'existingUsers',
  message: 'This can only be given when a job is started. To send everybody who is a member now: triggers backfill',
};

/**
 * Checks a job as it would be, records the edit, then waits up to 15 s for it to take effect.
 * @throws InvalidJob, JobNotFound, JobNotRunning, RequestRefused, NoWorker
 */
export async function editJob(client: Client, jobId: string, edit: JobEdit): Promise<EditedJob> {
  const before = await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
  // The job's own queue, whatever the client's is: only its workers have the source and the authorizations that it uses.
  const { taskQueue } = await describeJob(client, jobId);
  const prepared = await prepare(client, taskQueue, { ...definitionOf(before), ...edit });
  const problems = 'existingUsers' in edit ? [NOT_EDITABLE] : [];
  if (!prepared.ok || problems.length > 0)
    throw new InvalidJob([...problems, ...(prepared.ok ? [] : prepared.problems)]);
  await updateJob(client, jobId, editUpdate, [edit]);
  const status = await statusWhen(client, jobId, ({ revision }) => revision > before.revision, EDIT_WAIT_MS);
  return { status, warnings: prepared.warnings, inEffect: status.revision > before.revision };
}

/**
 * The definition that a job runs by, as far as it can be edited and is shown: enough to check an edit against, not to start a job.
 * Audiences are named by id, since their slugs may have changed. The URL is only its origin, which is all that a check needs of a URL that
 * was accepted before.
 */
function definitionOf(status: JobStatus): JobDefinitionInput {
  return {
    label: status.label,
    ...(status.description === undefined ? {} : { description: status.description }),
    audiences: status.audiences.map(({ id }) => id),
    webhookUrl: status.webhookUrl,
    authorization: status.authorization,
    exportFields: [...status.exportFields],
    userLegacyMessageFormat: status.userLegacyMessageFormat,
    parallelRequestCount: status.parallelRequestCount,
    backfillPerSecond: status.backfillPerSecond,
    backfillParallelCount: status.backfillParallelCount,
  };
}
