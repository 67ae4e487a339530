import type { Client } from '@temporalio/client';
import type { AudienceListing } from '../contract/audience.ts';
import type { JobDefinitionInput } from '../contract/export-job.ts';
import { jobWorkflowId } from '../domain/names.ts';
import { prepare } from './ask-worker.ts';
import { InvalidJob, JobKept, JobNotFound } from './errors.ts';
import { nameJob } from './job-id.ts';
import { describeJob, isOpen, startJobWorkflow, statusWhen } from './job-service.ts';
import { keptOf } from './kept-jobs.ts';
import { recoverableUntil } from './recovery.ts';

export interface StartedJob {
  readonly jobId: string;
  readonly workflowId: string;
  readonly runId: string;
  /** The audiences it listens to, with their sizes if the source gives them. */
  readonly audiences: readonly AudienceListing[];
  /** What a person should know: a time window too short to be reliable, say. */
  readonly warnings: readonly string[];
  /** Search attributes that the namespace does not have: `triggers setup` registers them. */
  readonly missingSearchAttributes: readonly string[];
}

/** How long, in ms, to wait for a new job to begin before answering anyway. */
export const START_WAIT_MS = 10_000;

/**
 * Checks a job and starts it.
 * @throws InvalidJob, JobAlreadyRunning, JobKept, NoWorker
 */
export async function startJob(
  client: Client,
  taskQueue: string,
  definition: JobDefinitionInput,
  wantedId: string | undefined,
): Promise<StartedJob> {
  const naming = nameJob(definition, wantedId);
  const prepared = await prepare(client, taskQueue, definition);
  const problems = [...naming.problems, ...(prepared.ok ? [] : prepared.problems)];
  if (!prepared.ok || problems.length > 0) throw new InvalidJob(problems);
  const { jobId } = naming;
  const { audiences, missingSearchAttributes } = prepared;
  const kept = await keptOf(client, jobId);
  if (kept !== undefined) throw new JobKept(jobId, kept);
  const warnings = [...prepared.warnings, ...(await warningsOfLast(client, jobId))];
  const runId = await startJobWorkflow(client, jobId, taskQueue, prepared.definition, prepared);
  // The job looks its audiences up once more by itself. Waiting for that means that whatever is asked of it next finds it running.
  await statusWhen(client, jobId, ({ state }) => state !== 'starting', START_WAIT_MS);
  return { jobId, workflowId: jobWorkflowId(jobId), runId, audiences, warnings, missingSearchAttributes };
}

/** A new job under the id of a terminated one does not have what that one had not delivered. */
async function warningsOfLast(client: Client, jobId: string): Promise<string[]> {
  try {
    const last = await describeJob(client, jobId);
    if (isOpen(last) || (await recoverableUntil(client, last)) === undefined) return [];
    return [
      `The last job "${jobId}" was terminated. This is a new job, which does not have what that one had not delivered; "triggers recover" would have kept it.`,
    ];
  } catch (error) {
    if (error instanceof JobNotFound) return [];
    throw error;
  }
}
