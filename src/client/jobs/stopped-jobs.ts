import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { TimeoutFailure } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { JobStatus } from '../../contract/job-status.ts';
import type { StopRequest } from '../../contract/requests.ts';
import { instantOf } from '../../domain/instant.ts';
import { andAside, andLetters } from '../../domain/kept-job.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../domain/names.ts';
import { resumeUpdate, stopUpdate } from '../../workflows/messages.ts';
import { settled } from '../asking.ts';
import { JobKept, JobNotFound, JobNotRunning, JobRecoverable, type Recoverable, RequestRefused } from '../errors.ts';
import { describeLast, describeOpen, endedAs, isOpen } from '../executions.ts';
import { type NeverBegun, neverBegun, wrongDefinition } from '../history/events.ts';
import { recoverableKept, recoverableOfLast, recoverableUntil } from '../history/recovery.ts';

import { describeExecution, endOf, ofJob, queryStatus, untilQuiet, updateJob } from './job-service.ts';
import { discardKept, keptOf, resumeKept } from './kept-jobs.ts';
import { lettersInStatus } from './waiting-letters.ts';

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

/** How long, in ms, a job that was stopped with keep may take to end: its running slices end first. */
const STOP_MS = 30_000;
const LOOK_AGAIN_MS = 100;

// What may be asked of a job that is not running: then what it kept answers in its place.

/**
 * How a job is doing; for one that has ended, how it was at its end, and what it kept.
 * @throws JobNotFound; JobKept, JobRecoverable when the server has forgotten the job itself.
 */
export async function statusOf(client: Client, jobId: string): Promise<JobStatus> {
  // Before the query: if the job ends between the two, the next call sees it.
  const found = await describeExecution(client, jobId).catch((error: unknown) => keptOrGone(client, jobId, error));
  const answered = await queryStatus(client, jobId);
  const status = { ...answered, ...resetOf(found), ...(await lettersInStatus(client, answered, found.taskQueue)) };
  if (isOpen(found)) return await withBackfillTrouble(client, status);
  // What it was waiting for no longer applies.
  const {
    reason: _,
    endpoint: _endpoint,
    throttledUntil: _throttled,
    quietUntil: _quiet,
    quotaUntil: _quota,
    rateLimitedUntil: _rate,
    gatheringUntil: _gathering,
    ...rest
  } = status;
  const [kept, until, wrong, lost] = await Promise.all([
    keptOf(client, jobId),
    recoverableUntil(client, found),
    neverBegun(client, found),
    recoverableKept(client, jobId, found),
  ]);
  return {
    ...rest,
    state: 'stopped',
    inFlight: 0,
    ...backfillAtEnd(status),
    ...(status.hasReachedEnd === true ? { reason: 'Its end ("endsAt") came.' } : {}),
    ...(until === undefined ? {} : { recoverableUntil: instantOf(until) }),
    ...endedBadly(found.status.name, until !== undefined, wrong),
    ...(kept === undefined ? {} : { kept }),
    ...(lost === undefined ? {} : { recoverableUntil: lost.recoverableUntil, reason: keptIsGone(lost) }),
  };
}

/** What was left of a backfill when its job ended goes on with the job. */
function backfillAtEnd({ backfill }: JobStatus): Pick<JobStatus, 'backfill'> {
  if (backfill === undefined) return {};
  const { secondsLeft: _seconds, lastFrom: _last, ...rest } = backfill;
  const wasUnderWay = rest.state === 'running' || rest.state === 'paused';
  return { backfill: { ...rest, ratePerSecond: 0, ...(wasUnderWay ? { state: 'kept' } : {}) } };
}

/** Why a job that has ended did not end normally, and what to do. */
function endedBadly(
  ended: string,
  isRecoverable: boolean,
  wrong: NeverBegun | undefined,
): Pick<JobStatus, 'reason' | 'problems'> {
  if (wrong !== undefined) {
    const later = wrong.mayBegin ? ' Or recover it once the worker knows what it names.' : '';
    const reason = `${wrongDefinition(wrong)} Start it again with a correct definition.${later}`;
    return { reason, problems: wrong.problems };
  }
  if (!isRecoverable) return {};
  const how = `Its workflow did not end normally: ${endedAs(ended)}.`;
  return { reason: `${how} Recover it before you start it again.` };
}

function keptIsGone({ ended, waiting, backfill, aside, letters }: Recoverable): string {
  const much =
    waiting === undefined
      ? 'how much that is could not be read'
      : `${waiting === 1 ? '1 trigger' : `${waiting} triggers`}${backfill ? ' and the rest of its backfill' : ''}`;
  return `What it kept when it was stopped was ended from outside (${ended}): ${much}${andAside(aside)}${andLetters(letters)}. Recover it before you start it again.`;
}

/** Only the server knows: the run itself goes through the same as one that was not reset. */
function resetOf({ raw }: WorkflowExecutionDescription): Pick<JobStatus, 'resetAt'> {
  const { lastResetTime } = raw.workflowExtendedInfo ?? {};
  return lastResetTime == null ? {} : { resetAt: instantOf(tsToMs(lastResetTime)) };
}

/** Lets a job send again: one that is paused, or was stopped (or is being stopped) with keep. */
export async function resume(client: Client, jobId: string): Promise<JobStatus> {
  try {
    return await updateJob(client, jobId, resumeUpdate, []);
  } catch (error) {
    if (error instanceof RequestRefused) await untilStopped(client, jobId, error);
    if (isGone(error)) await refuseOverRecoverable(client, jobId);
    if (!isGone(error) && !(error instanceof RequestRefused)) throw error;
    const status = await resumeKept(client, jobId);
    if (status === undefined) throw await endedKeptOr(client, jobId, orTooLate(jobId, error));
    return status;
  }
}

/** Ends a job; what a stopped one kept can only be discarded. */
export async function stop(client: Client, jobId: string, request: StopRequest): Promise<JobStatus> {
  try {
    return await untilQuiet(client, jobId, await updateJob(client, jobId, stopUpdate, [request]));
  } catch (error) {
    const isDiscard = isGone(error) && request.waiting === 'discard';
    if (isDiscard) await refuseOverRecoverable(client, jobId);
    const kept = isDiscard ? await discardKept(client, jobId) : undefined;
    if (kept === undefined) {
      const why = isDiscard ? orTooLate(jobId, error) : error;
      throw isGone(error) ? await endedKeptOr(client, jobId, why) : error;
    }
    return { ...(await settled(statusOf(client, jobId), ofJob('stop', jobId))), waiting: kept.waiting };
  }
}

/**
 * What is kept runs again as a new run, after which an earlier one that did not end normally can no longer be recovered. A recovery, on the
 * other hand, takes over what that job had kept.
 * @throws JobRecoverable
 */
async function refuseOverRecoverable(client: Client, jobId: string): Promise<void> {
  if ((await keptOf(client, jobId)) === undefined) return;
  const left = await recoverableOfLast(client, jobId);
  if (left !== undefined) throw new JobRecoverable(jobId, left, { cause: left.cause, besideKept: true });
}

/** What a job that is not running says when nothing is kept of it any more: that this was ended from outside, or else `error`. */
async function endedKeptOr(client: Client, jobId: string, error: unknown): Promise<unknown> {
  const last = await describeLast(client, jobWorkflowId(jobId));
  const lost = await recoverableKept(client, jobId, last);
  return lost === undefined ? error : new JobRecoverable(jobId, lost, { cause: lost.cause ?? error });
}

/**
 * What is said when there is nothing to decide about: `error`, unless something had been there when that was found. Then somebody else was faster, and
 * what the error advises is so no more. Exported for its test.
 */
export function orTooLate(jobId: string, error: unknown): unknown {
  if (!(error instanceof JobNotRunning) || error.left !== 'kept') return error;
  const reason = 'Somebody else decided at the same time about what it kept, so nothing was done. See its status.';
  return new RequestRefused(jobId, reason, { cause: error });
}

/** A job that was stopped with keep has kept its triggers within moments, and can then be resumed. @throws `refusal` when it keeps running */
async function untilStopped(client: Client, jobId: string, refusal: RequestRefused): Promise<void> {
  const deadline = Date.now() + STOP_MS;
  while ((await endOf(client, jobId)) === undefined) {
    if (Date.now() > deadline) throw refusal;
    await setTimeout(LOOK_AGAIN_MS);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof JobNotRunning || error instanceof JobNotFound;
}

async function keptOrGone(client: Client, jobId: string, error: unknown): Promise<never> {
  if (!(error instanceof JobNotFound)) throw error;
  const kept = await keptOf(client, jobId);
  throw kept === undefined ? await endedKeptOr(client, jobId, error) : new JobKept(jobId, kept);
}
