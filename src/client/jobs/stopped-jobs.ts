import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { TimeoutFailure } from '@temporalio/common';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { tsToMs } from '@temporalio/common/lib/time.js';
import type { By } from '../../contract/audit.ts';
import type { JobStatus, KeptTriggers } from '../../contract/job-status.ts';
import type { StopRequest } from '../../contract/requests.ts';
import { instantOf } from '../../domain/instant.ts';
import { ENDED } from '../../domain/job/describing.ts';
import { backfillWorkflowId, jobWorkflowId } from '../../domain/names.ts';
import { resumeUpdate, stopUpdate } from '../../workflows/messages.ts';
import { executeUpdate, noWorker, settled } from '../calls/asking.ts';
import { RequestRefused } from '../calls/errors.ts';
import { describeOpen, endedAs, isOpen, isStopped } from '../calls/executions.ts';
import { type NeverBegun, neverBegun, wrongDefinition } from '../calls/events.ts';
import { recoverableUntil } from './ended-run.ts';
import { TemporalSideWorkflows } from '../calls/side-workflows.ts';
import { describeExecution, endOf, ofJob, queryStatus, statusWhen, untilQuiet, updateJob } from './job-service.ts';
import { lettersInStatus } from './waiting-letters.ts';

/** Returns the status with why a running backfill cannot read: only the server knows how often its child workflow has failed. */
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

/** How long, in ms, a job may take to stop: its running slices end first. */
const STOP_MS = 30_000;
/** How long, in ms, a stopped job may take to drop what it keeps. */
const DISCARD_MS = 20_000;
/** How long, in ms, to wait for the end of a job that has just stopped sending: it ends at once, unless a request is still open. */
const SOON_MS = 2_000;
const LOOK_AGAIN_MS = 100;

/**
 * Returns a job's status; for one that has ended, as it was at its end.
 * @throws JobNotFound
 */
export async function statusOf(client: Client, jobId: string): Promise<JobStatus> {
  // Before the query: if the job ends between the two, the next call sees it.
  const found = await describeExecution(client, jobId);
  const answered = await queryStatus(client, jobId);
  const status = { ...answered, ...resetOf(found), ...(await lettersInStatus(client, answered, found.taskQueue)) };
  if (isOpen(found)) return await withBackfillTrouble(client, status);
  // A stopped job waits for none of these.
  const { reason: _, kept, endpoint: _endpoint, ...rest } = status;
  const [until, wrong] = await Promise.all([recoverableUntil(client, found), neverBegun(client, found)]);
  return {
    ...rest,
    state: endedAs(found.status.name),
    waits: {},
    inFlight: 0,
    ...backfillAtEnd(status),
    ...(status.hasReachedEnd === true ? { reason: ENDED } : {}),
    ...(until === undefined ? {} : { recoverableUntil: instantOf(until) }),
    ...endedBadly(found.status.name, until !== undefined, wrong, kept),
  };
}

/** The rest of a backfill goes on with its job once that is recovered. */
function backfillAtEnd({ backfill }: JobStatus): Pick<JobStatus, 'backfill'> {
  if (backfill === undefined) return {};
  const { secondsLeft: _seconds, lastFrom: _last, ...rest } = backfill;
  const wasUnderWay = rest.state === 'running' || rest.state === 'paused';
  return { backfill: { ...rest, ratePerSecond: 0, ...(wasUnderWay ? { state: 'kept' } : {}) } };
}

/** Returns why a job that has ended did not end normally, and what to do. */
function endedBadly(
  ended: string,
  isRecoverable: boolean,
  wrong: NeverBegun | undefined,
  kept: KeptTriggers | undefined,
): Pick<JobStatus, 'reason' | 'problems'> {
  if (wrong !== undefined) {
    const later = wrong.mayBegin ? ' Or recover it once the worker knows what it names.' : '';
    const reason = `${wrongDefinition(wrong)} Start it again with a correct definition.${later}`;
    return { reason, problems: wrong.problems };
  }
  if (!isRecoverable) return {};
  const how = `Its workflow did not end normally: ${endedAs(ended)}.`;
  const had = kept === undefined ? '' : ' It had stopped, and keeps its triggers when it is recovered.';
  return { reason: `${how}${had} Recover it before you start it again.` };
}

/** Only the server knows: the run itself cannot tell that it was reset. */
function resetOf({ raw }: WorkflowExecutionDescription): Pick<JobStatus, 'resetAt'> {
  const { lastResetTime } = raw.workflowExtendedInfo ?? {};
  return lastResetTime == null ? {} : { resetAt: instantOf(tsToMs(lastResetTime)) };
}

/** Lets a paused job send again, or one that has stopped (or is stopping) with keep. */
export async function resume(client: Client, jobId: string, by: By): Promise<JobStatus> {
  const send = () => updateJob(client, jobId, resumeUpdate, [{}, by], { mayBeStopped: true });
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    await untilStopped(client, jobId, error);
    return await send();
  }
}

/** Waits until a job that stops with keep can be resumed, which takes moments. @throws `refusal` when it goes on, or has ended */
async function untilStopped(client: Client, jobId: string, refusal: RequestRefused): Promise<void> {
  const deadline = Date.now() + STOP_MS;
  for (;;) {
    const found = await describeExecution(client, jobId);
    if (isStopped(found)) return;
    if (!isOpen(found) || Date.now() > deadline) throw refusal;
    await setTimeout(LOOK_AGAIN_MS);
  }
}

/**
 * Ends a job; a stopped one can only be told to discard what it keeps. It waits up to 2 s for the end: then the status says how much the job kept or
 * dropped. Otherwise the job is still stopping.
 */
export async function stop(client: Client, jobId: string, request: StopRequest, by: By): Promise<JobStatus> {
  if (request.waiting === 'discard') return await discard(client, jobId, request, by);
  const status = await untilQuiet(client, jobId, await updateJob(client, jobId, stopUpdate, [request, by]));
  if (request.waiting !== 'keep' || status.mayStillSend === true) return status;
  return await statusWhen(client, jobId, ({ kept }) => kept !== undefined, SOON_MS).catch(() => status);
}

async function discard(client: Client, jobId: string, request: StopRequest, by: By): Promise<JobStatus> {
  const found = await describeExecution(client, jobId);
  const hadStopped = isStopped(found);
  const stopRequest = hadStopped ? { ...request, ifStopped: true } : request;
  // The job answers before it drops anything.
  const answer = await updateJob(client, jobId, stopUpdate, [stopRequest, by], { mayBeStopped: hadStopped });
  const status = hadStopped ? answer : await untilQuiet(client, jobId, answer);
  const before = Date.now();
  if (hadStopped) await settled(untilEnded(client, jobId), ofJob('stop', jobId));
  else if (!(await endsWithin(client, jobId, SOON_MS))) return status;
  // Triggers that were dropped unread leave profiles behind, and the job does not know them. Any that this misses end by their own timer.
  await new TemporalSideWorkflows(client, found.taskQueue).dropProfiles(jobId, before).catch(() => undefined);
  // Slices may have delivered some of what waited, and given back the rest: only at its end the job knows how much it has dropped.
  const atEnd = await settled(statusOf(client, jobId), ofJob('stop', jobId));
  return { ...atEnd, dropped: (atEnd.discarded ?? 0) - (answer.discarded ?? 0) };
}

/** Ends a job that has stopped and keeps nothing, so that another can start under its id. Triggers that came since are sent first. */
export async function endStopped(client: Client, jobId: string, by: By): Promise<void> {
  const found = await describeOpen(client, jobWorkflowId(jobId));
  if (found === undefined || !isStopped(found)) return;
  await settled(
    executeUpdate(client, found, stopUpdate, [{ waiting: 'deliver', ifStopped: true }, by]),
    ofJob('start', jobId),
  );
  await settled(untilEnded(client, jobId), ofJob('start', jobId));
}

/** @throws NoWorker */
async function untilEnded(client: Client, jobId: string): Promise<void> {
  if (await endsWithin(client, jobId, DISCARD_MS)) return;
  const { taskQueue } = await describeExecution(client, jobId);
  throw await noWorker(client, taskQueue, { waitedMs: DISCARD_MS });
}

async function endsWithin(client: Client, jobId: string, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while ((await endOf(client, jobId)) === undefined) {
    if (Date.now() > deadline) return false;
    await setTimeout(LOOK_AGAIN_MS);
  }
  return true;
}
