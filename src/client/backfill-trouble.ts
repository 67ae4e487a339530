import type { Client } from '@temporalio/client';
import { TimeoutFailure } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import type { JobStatus } from '../contract/job-status.ts';
import { backfillWorkflowId, jobWorkflowId } from '../domain/names.ts';
import { describeOpen } from './job-service.ts';

/** The same status, with what keeps a running backfill from reading: only the server knows how often its child workflow has failed. */
export async function withBackfillTrouble(client: Client, status: JobStatus): Promise<JobStatus> {
  const { backfill, jobId } = status;
  if (backfill?.state !== 'running' && backfill?.state !== 'paused') return status;
  const trouble = await troubleOf(client, backfillWorkflowId(jobWorkflowId(jobId), backfill.n));
  return trouble === undefined ? status : { ...status, backfill: { ...backfill, trouble } };
}

async function troubleOf(client: Client, workflowId: string): Promise<string | undefined> {
  const child = await describeOpen(client, workflowId);
  for (const { activityType, attempt, lastFailure } of child?.raw.pendingActivities ?? []) {
    if (activityType?.name !== 'listMembers' || lastFailure == null) continue;
    const failure = await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, lastFailure);
    const failures = Math.max(1, (attempt ?? 0) - 1);
    const times = failures === 1 ? 'once' : `${failures} times in a row`;
    const why = failure instanceof TimeoutFailure ? 'there was no answer within a minute.' : failure?.message;
    return `The source failed ${times} when it was asked for the next members; it is asked again at least every minute. The last time: ${why}`;
  }
  return undefined;
}
