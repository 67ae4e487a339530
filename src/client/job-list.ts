import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { JobState, KeptTriggers } from '../contract/job-status.ts';
import { isRecord } from '../domain/json.ts';
import { undecodableReason } from '../domain/undecodable.ts';
import { EXPORT_JOB, jobIdOf, jobWorkflowId } from '../domain/names.ts';
import { clientForLists } from './client-for-lists.ts';
import { endedAs } from './job-service.ts';
import { type KeptJobListing, listKept } from './kept-jobs.ts';
import type { ListeningJob } from './publish.ts';

/** A job as the list shows it; ask `status` for more. */
export interface JobSummary {
  readonly jobId: string;
  readonly workflowId: string;
  /** What the job reports; for one that has ended, how it ended (`stopped`, `failed`, `terminated`, …). */
  readonly state: JobState | (string & {});
  readonly running: boolean;
  /** Absent when whoever started it left none. */
  readonly label?: string;
  readonly description?: string;
  /** Absent when whoever started it left none. */
  readonly audiences?: readonly AudienceName[];
  /** True: what it shows is encrypted with a key that is not here. */
  readonly isUnreadable?: true;
  readonly startedAt: Date;
  readonly endedAt?: Date;
  /** What it kept when it was stopped, if it can be resumed. */
  readonly kept?: KeptTriggers;
}

export interface AudienceName {
  readonly id: string;
  readonly slug: string;
}

const STATUS = defineSearchAttributeKey('ExportJobStatus', SearchAttributeType.KEYWORD);

/** All jobs that the server still knows: one entry per id, of its newest run. A new job shows up within about a second. */
export async function listJobs(
  client: Client,
  only?: 'running' | { readonly taskQueue: string },
): Promise<JobSummary[]> {
  const query = only === 'running' ? "ExecutionStatus = 'Running'" : "ExecutionStatus != 'ContinuedAsNew'";
  const newest = new Map<string, JobSummary>();
  for await (const run of clientForLists(client).workflow.list({
    query: `WorkflowType = '${EXPORT_JOB}' AND ${query}`,
  })) {
    if (typeof only === 'object' && run.taskQueue !== only.taskQueue) continue;
    const summary = summaryOf(run);
    const known = newest.get(summary.workflowId);
    if (known === undefined || (!known.running && (summary.running || known.startedAt < summary.startedAt)))
      newest.set(summary.workflowId, summary);
  }
  if (only === undefined) addKept(newest, await listKept(client));
  return [...newest.values()].sort((a, b) => Number(b.running) - Number(a.running) || compare(a.jobId, b.jobId));
}

/** Adds to each stopped job what it kept, and lists those too whose own workflow the server has forgotten. */
function addKept(jobs: Map<string, JobSummary>, kept: ReadonlyMap<string, KeptJobListing>): void {
  for (const [workflowId, { memo, startTime, waiting, keptAt }] of kept) {
    const job = jobs.get(workflowId) ?? {
      jobId: jobIdOf(workflowId),
      workflowId,
      state: 'stopped',
      running: false,
      ...presentation(memo),
      startedAt: startTime,
    };
    if (!job.running) jobs.set(workflowId, { ...job, kept: { waiting, keptAt } });
  }
}

/**
 * The running jobs with the names of their audiences, taken from their memos. A memo has them from the start or, where a foreign client
 * started the job without one, from the moment it was checked. No job is asked, so that one that cannot answer does not hold up the others.
 */
export async function listeningJobs(client: Client): Promise<ListeningJob[]> {
  const jobs = await listJobs(client, 'running');
  // A job under a foreign workflow id cannot be reached by a job id.
  const reachable = jobs.filter(({ jobId, workflowId }) => workflowId === jobWorkflowId(jobId));
  return reachable.map(({ jobId, audiences = [], isUnreadable }) => ({
    jobId,
    audiences: isUnreadable === true ? null : audiences.flatMap(({ id, slug }) => [id, slug]),
  }));
}

function summaryOf(run: WorkflowExecutionInfo): JobSummary {
  const running = run.status.name === 'RUNNING' || run.status.name === 'PAUSED';
  return {
    jobId: jobIdOf(run.workflowId),
    workflowId: run.workflowId,
    state: running ? (run.typedSearchAttributes.get(STATUS) ?? 'running') : endedAs(run.status.name),
    running,
    ...presentation(run.memo),
    startedAt: run.startTime,
    ...(run.closeTime === undefined ? {} : { endedAt: run.closeTime }),
  };
}

/** Shown in place of the label of a job that is encrypted with a key that is not here. */
const UNREADABLE = '(encrypted)';

/** What a memo says about a job. Memos are foreign data: any client may start a job with any memo. */
function presentation(
  memo: Record<string, unknown> | undefined,
): Pick<JobSummary, 'label' | 'description' | 'audiences' | 'isUnreadable'> {
  const { label, description, audiences } = memo ?? {};
  return {
    ...(typeof label === 'string' ? { label } : undecodableReason(label) === undefined ? {} : { label: UNREADABLE }),
    ...(typeof description === 'string' ? { description } : {}),
    ...(isAudienceNames(audiences) ? { audiences } : {}),
    ...(undecodableReason(audiences) === undefined ? {} : { isUnreadable: true }),
  };
}

function isAudienceNames(value: unknown): value is readonly AudienceName[] {
  return (
    Array.isArray(value) && value.every((item: unknown) => isRecord(item) && isText(item['id']) && isText(item['slug']))
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
