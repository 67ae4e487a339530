import type { PersonAnswer } from '../contract/person-standing.ts';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { AuditEntry, By, RevisionAnswer } from '../contract/audit.ts';
import type { MemberPage, PageTaken } from '../contract/backfill.ts';
import type { DeadLetterStatus, RedeliverRequest, Redelivery, RedeliveryAnswer } from '../contract/dead-letter.ts';
import type { JobEdit } from '../contract/export-job.ts';
import type { JobStatus, JobTrend, RecoveryPart } from '../contract/job-status.ts';
import type { BackfillRequest, ForgetRequest, StopRequest } from '../contract/requests.ts';
import type { JobSettings } from '../contract/slice.ts';
import type { PermitsReturned } from '../contract/slice.ts';
import type { EventTrigger, Trigger } from '../contract/trigger.ts';
import type { TriggerRun } from '../domain/trigger-run.ts';

// The public messages of a job. Names and JSON are stable: other people's code depends on them.

/** One trigger, or an array of them, that enter. */
export const enterSignal = defineSignal<[Trigger | readonly Trigger[]]>('enter');
/** One trigger, or an array of them, that exit. */
export const exitSignal = defineSignal<[Trigger | readonly Trigger[]]>('exit');
/** Triggers that each say whether they enter or exit; the client signals them as a run. */
export const triggersSignal = defineSignal<[readonly EventTrigger[] | TriggerRun]>('triggers');

/**
 * Every update answers with the job's new status: at once, but `edit` only when it has taken effect or was refused. Each may be told who
 * asks, and why, as its second argument.
 */
export const pauseUpdate = defineUpdate<JobStatus, [nothing?: object, by?: By]>('pause');
export const resumeUpdate = defineUpdate<JobStatus, [nothing?: object, by?: By]>('resume');
/** Ends every wait for a next attempt. */
export const retryUpdate = defineUpdate<JobStatus, [nothing?: object, by?: By]>('retry');
export const editUpdate = defineUpdate<JobStatus, [JobEdit, By?]>('edit');
export const backfillUpdate = defineUpdate<JobStatus, [BackfillRequest?, By?]>('backfill');
/** Drops what waits for a person. */
export const forgetUpdate = defineUpdate<JobStatus, [ForgetRequest, By?]>('forget');
export const stopUpdate = defineUpdate<JobStatus, [StopRequest?, By?]>('stop');

/** The end of a query's name, for a run that has ended. */
export const ENDED_RUN = ':ended';

export const statusQuery = defineQuery<JobStatus>('status');
/** Deliveries and failures in the last hour and the last day; null before it has begun. */
export const trendQuery = defineQuery<JobTrend | null>('trend');
/** Who did what to the job lately, newest first; null before it has begun. */
export const historyQuery = defineQuery<readonly AuditEntry[] | null>('history');
/** For an edit that takes the job back to a revision; null before it has begun. It contains whole webhook URLs. */
export const revisionQuery = defineQuery<RevisionAnswer | null, [number]>('revision');
/** The state of one person's triggers in the job; null before it has a state. For `trace`. */
export const personQuery = defineQuery<PersonAnswer | null, [string]>('person');
/** For a terminated job: the state that it had reached, a part at a time, from 0; null before it had one. For `recover`. */
export const recoveryQuery = defineQuery<RecoveryPart | null, [number]>('recovery');

/** The settings that a job sends by, for a sample and an export; null before it has begun. It contains the whole webhook URL. */
export const settingsQuery = defineQuery<JobSettings | null>('settings');

/**
 * To a dead letter or a watch, right before a request: who asks. Told in the request itself, as its second argument, a worker of 0.1.0 would refuse it,
 * and could not replay its run. It leaves this signal unread.
 */
export const askerSignal = defineSignal<[By]>('asker');

// The public messages of a dead letter, for the Temporal UI too: each may be signalled without an argument, or told who asks as its second one.

/** To a dead letter: send it after all. */
export const redeliverSignal = defineSignal<[RedeliverRequest?, By?]>('redeliver');
/** To a dead letter: it is no longer wanted. */
export const discardSignal = defineSignal<[nothing?: object, by?: By]>('discard');

export const deadLetterStatusQuery = defineQuery<DeadLetterStatus>('status');

// Between the workflows and activities of one job; not for others.

/** To a job, from a dead letter. */
export const redeliveredSignal = defineSignal<[Redelivery]>('redeliver');
/** To a dead letter, from its job: whether it was taken. */
export const answerSignal = defineSignal<[RedeliveryAnswer]>('answer');
/** To a holder: the job has its content again. */
export const dropSignal = defineSignal('drop');

/** A page of members, from the backfill child to the job. */
export const pageSignal = defineSignal<[MemberPage]>('page');
/** The job's answer to a page. */
export const pageTakenSignal = defineSignal<[PageTaken]>('pageTaken');
/** A slice gives back permits that it no longer needs. */
export const permitsReturnedSignal = defineSignal<[PermitsReturned]>('permitsReturned');
