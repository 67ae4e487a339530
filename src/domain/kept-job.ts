import type { KeptJobState, KeptJobStatus } from '../contract/kept-job.ts';
import { detailsTable, shownCount, shownTime } from './details-table.ts';
import type { CarriedJob } from './dispatcher/carried.ts';
import { instantOf } from './instant.ts';
import { jobMemo } from './job-memo.ts';
import { audienceAttribute, jobIdOf } from './names.ts';
import { keyword, keywordList } from './search-attributes.ts';
import { summaryOf } from './summary.ts';

/** Input of the workflow `keptJob`. */
export interface KeptJob {
  readonly v: 1;
  readonly jobWorkflowId: string;
  /** What the job would have continued as new with. */
  readonly carried: CarriedJob;
}

/** Waiting triggers of a job that is not running. */
export function keptTriggers({ chains, overflow, dying, backfill }: CarriedJob): number {
  const inChains = chains.reduce((sum, [, triggers, more]) => sum + triggers.length + (more?.parked?.count ?? 0), 0);
  const inPages = (backfill?.pages ?? []).reduce((sum, { ids }) => sum + ids.length, 0);
  return inChains + overflow.held + overflow.tail.triggers.length + dying.length + inPages;
}

/**
 * The options that a kept job is started with, which show it from the start, without a query.
 *
 * @param now epoch ms.
 */
export function keptJobPresentation({ jobWorkflowId, carried }: KeptJob, now: number) {
  const { definition, audiences, missingSearchAttributes } = carried.job;
  const jobId = jobIdOf(jobWorkflowId);
  const attributes = [
    keyword('ExportJobId', jobId),
    keyword('ExportJobStatus', 'kept'),
    keywordList(
      'ExportAudiences',
      audiences.map(({ id }) => audienceAttribute(id)),
    ),
  ];
  return {
    summary: summaryOf(`Kept: ${definition.label}`),
    memo: {
      ...jobMemo({ ...definition, audiences }),
      job: jobId,
      waiting: keptTriggers(carried),
      keptAt: instantOf(now),
    },
    attributes: missingSearchAttributes.length > 0 ? [] : attributes,
  };
}

/** The state from which the job continues: what it carried, except that it is no longer stopping. A pause remains. */
export function resumedJob(carried: CarriedJob): CarriedJob {
  const { stopping: _, ...resumed } = carried;
  return resumed;
}

/** The state with which the job drops what is waiting: it starts again, releases its holders, and ends. */
export function discardedJob(carried: CarriedJob): CarriedJob {
  return { ...carried, stopping: { waiting: 'discard' } };
}

/** @param keptAt epoch ms. */
export function describeKeptJob(
  { jobWorkflowId, carried }: KeptJob,
  state: KeptJobState,
  keptAt: number,
  notice: string | undefined,
): KeptJobStatus {
  return {
    v: 1,
    state,
    jobId: jobIdOf(jobWorkflowId),
    label: carried.job.definition.label,
    waiting: keptTriggers(carried),
    keptAt: instantOf(keptAt),
    ...(notice === undefined ? {} : { notice }),
  };
}

const STATES: Readonly<Record<KeptJobState, string>> = {
  kept: 'Stopped; everything that was waiting is kept. Signal "resume" to run it again from there, or "discard" to drop it.',
  starting: 'Its job is being started again.',
  resumed: 'Its job runs again.',
  discarded: 'Its job was started again, to drop what was waiting.',
};

/** A kept job as the Temporal UI shows it. */
export function keptJobDetails({ state, jobId, label, waiting, keptAt, notice }: KeptJobStatus): string {
  return detailsTable(label, [
    ['State', STATES[state]],
    ...(notice === undefined ? [] : [['Not started', notice] as const]),
    ['Job', jobId],
    ['Waiting', shownCount(waiting)],
    ['Kept at', shownTime(keptAt)],
  ]);
}
