import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { MemberPage, PageTaken } from '../contract/backfill.ts';
import type { JobEdit } from '../contract/export-job.ts';
import type { JobStatus } from '../contract/job-status.ts';
import type { EventTrigger, Trigger } from '../contract/trigger.ts';

// The public messages of a job. Names and JSON are stable: other people's code depends on them.

/** One trigger, or an array of them, that enter. */
export const enterSignal = defineSignal<[Trigger | readonly Trigger[]]>('enter');
/** One trigger, or an array of them, that exit. */
export const exitSignal = defineSignal<[Trigger | readonly Trigger[]]>('exit');
/** Triggers that say themselves whether they enter or exit. */
export const triggersSignal = defineSignal<[readonly EventTrigger[]]>('triggers');

export interface BackfillRequest {
  /** Asking twice with the same id runs one backfill, so that it is safe to ask again after a lost answer. */
  readonly requestId?: string;
  /** Slugs or ids of some of the job's audiences; absent: all of them. */
  readonly audiences?: readonly string[];
}

export interface StopRequest {
  /** What becomes of the triggers that wait: `deliver` (default) sends them first, `discard` drops them. Running slices are always waited for. */
  readonly waiting?: 'deliver' | 'discard';
}

/** Every update records what was asked and answers at once with the job's new status. */
export const pauseUpdate = defineUpdate<JobStatus>('pause');
export const resumeUpdate = defineUpdate<JobStatus>('resume');
export const editUpdate = defineUpdate<JobStatus, [JobEdit]>('edit');
export const backfillUpdate = defineUpdate<JobStatus, [BackfillRequest?]>('backfill');
export const stopUpdate = defineUpdate<JobStatus, [StopRequest?]>('stop');

export const statusQuery = defineQuery<JobStatus>('status');

// Between the workflows and activities of one job; not for others.

/** A page of members, from the backfill child to the job. */
export const pageSignal = defineSignal<[MemberPage]>('page');
/** The job's answer to a page. */
export const pageTakenSignal = defineSignal<[PageTaken]>('pageTaken');
/** A slice gives back permits that it has no more use for: `left` is what it keeps. */
export const permitsReturnedSignal =
  defineSignal<[{ readonly sliceId: number; readonly left: number }]>('permitsReturned');
