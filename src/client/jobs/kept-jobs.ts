import { setTimeout } from 'node:timers/promises';
import type { Client, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import type { JobStatus, KeptBackfill, KeptTriggers } from '../../contract/job-status.ts';
import type { KeptJobEnd } from '../../contract/kept-job.ts';
import { refuseNewer, undecodableReason } from '../../domain/errors.ts';
import { type CarriedJob, isCarriedJob } from '../../domain/job/carrying.ts';
import { isRecord } from '../../domain/json.ts';
import { type KeptJob, keepsNothing } from '../../domain/kept-job.ts';
import { jobWorkflowId, KEPT_JOB, keptWorkflowId, subscriptionIdOf } from '../../domain/names.ts';
import { discardSignal, keptJobStatusQuery, resumeSignal, resumeUpdate } from '../../workflows/messages.ts';
import { ask, noWorker, settled } from '../asking.ts';
import { clientForLists } from '../client-for-lists.ts';
import { RequestRefused } from '../errors.ts';
import { describeLast, describeOpen, endedAs, endedFromOutside, isOpen } from '../executions.ts';
import { inputOf } from '../history/events.ts';
import { GRPC, grpcCode } from '../server-errors.ts';
import { TemporalSideWorkflows } from '../side-workflows.ts';
import { ownLetters } from './waiting-letters.ts';
import { endOf, ofJob, queryStatus, updateJob } from './job-service.ts';

/** What a stopped job kept, when a person or the server has ended the workflow that kept it, and the job has not run since. */
export interface EndedKept {
  readonly taskQueue: string;
  /** How that workflow ended. */
  readonly ended: string;
  /** How long the server knows it, in epoch ms. */
  readonly until: number;
  /** Or why it cannot be read: then it may be much. */
  readonly content: { readonly carried: CarriedJob } | { readonly cause: unknown };
}

/**
 * What this job kept and nobody has resumed or discarded, although its workflow has ended; undefined when there is no such thing.
 *
 * @param job the job's last run; undefined when the server has forgotten it, which can be while it still knows what that kept.
 */
export async function endedKeptOf(
  client: Client,
  jobId: string,
  job: WorkflowExecutionDescription | undefined,
): Promise<EndedKept | undefined> {
  // A job that did not end in order has all that in its own history.
  if (job !== undefined && (isOpen(job) || endedFromOutside(job.status.name))) return undefined;
  const kept = await describeLast(client, keptWorkflowId(jobWorkflowId(jobId)));
  if (kept === undefined || kept.type !== KEPT_JOB || !endedFromOutside(kept.status.name)) return undefined;
  // Whatever runs a job again, also from what it kept, starts a run of it.
  if (job !== undefined && job.startTime > kept.startTime) return undefined;
  const until = await knownUntil(client, kept);
  if (until === undefined || until <= Date.now()) return undefined;
  const known = { taskQueue: kept.taskQueue, ended: endedAs(kept.status.name), until };
  try {
    const carried = await carriedBy(client, kept);
    // A slow worker may keep what a terminated job carried when another one has its id already.
    const isOfAnother = job !== undefined && (await subscriptionOf(client, job)) !== carried.job.subscriptionId;
    return isOfAnother ? undefined : { ...known, content: { carried } };
  } catch (cause) {
    return { ...known, content: { cause } };
  }
}

/** Until when the server keeps the history of a workflow that has ended, in epoch ms; undefined when nobody can say. */
export async function knownUntil(
  client: Client,
  { closeTime }: WorkflowExecutionDescription,
): Promise<number | undefined> {
  if (closeTime === undefined) return undefined;
  const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
  const retention = config?.workflowExecutionRetentionTtl;
  return retention == null ? undefined : closeTime.getTime() + Number(retention.seconds ?? 0) * 1000;
}

async function carriedBy(client: Client, { workflowId, runId }: WorkflowExecutionDescription): Promise<CarriedJob> {
  const input = await inputOf(client, workflowId, runId);
  refuseNewer('What this job kept', input);
  const { carried } = (isRecord(input) ? input : {}) as Partial<KeptJob>;
  if (!isCarriedJob(carried))
    throw new Error(`The workflow ${workflowId} was not started by a job that kept something.`);
  return carried;
}

async function subscriptionOf(client: Client, job: WorkflowExecutionDescription): Promise<string> {
  const { firstRunId } = job.raw.workflowExecutionInfo ?? {};
  const input = await inputOf(client, job.workflowId, job.runId);
  return isCarriedJob(input) ? input.job.subscriptionId : subscriptionIdOf(firstRunId ?? job.runId);
}

/** One that has been decided is of no interest; one that was ended from outside may be all there is. */
const KEPT_QUERY = `WorkflowType = '${KEPT_JOB}' AND ExecutionStatus != 'Completed'`;
/** How long a kept job may take to run again, or to be dropped, in ms. */
const DECIDED_MS = 20_000;
const LOOK_AGAIN_MS = 100;

/** What is kept of a job that is not running; undefined when nothing is. */
export async function keptOf(client: Client, jobId: string): Promise<KeptTriggers | undefined> {
  const kept = await describeKept(client, jobId);
  return kept === undefined ? undefined : keptTriggersOf(kept);
}

/**
 * What is kept of a job that another one of its id must not take the place of; undefined when there is no such thing, also where a job was stopped
 * with `keep`, or cancelled, while nothing was waiting, no dead letter either.
 */
export async function keptToSpare(
  client: Client,
  jobId: string,
): Promise<(KeptTriggers & { readonly letters: number }) | undefined> {
  const kept = await describeKept(client, jobId);
  if (kept === undefined) return undefined;
  const carried = await carriedOrNone(client, kept);
  const letters =
    carried === undefined
      ? 0
      : await ownLetters(client, { jobId, subscriptionId: carried.job.subscriptionId }, kept.taskQueue);
  return letters === 0 && isOfNothing(kept, carried) ? undefined : { ...keptTriggersOf(kept), letters };
}

/** Ends what kept nothing, for another job of its id; until that runs, it can still be recovered. */
export async function dropKeptNothing(client: Client, jobId: string): Promise<void> {
  const kept = await describeKept(client, jobId);
  if (kept !== undefined && isOfNothing(kept, await carriedOrNone(client, kept)))
    await endKept(client, kept, 'It kept nothing, and a job of its id is started anew.');
}

/** Undefined: it cannot be read here. */
async function carriedOrNone(client: Client, kept: WorkflowExecutionDescription): Promise<CarriedJob | undefined> {
  return await carriedBy(client, kept).catch(() => undefined);
}

/** Its memo does not say all, and may not be readable here. What cannot be read may be much. */
function isOfNothing(kept: WorkflowExecutionDescription, carried: CarriedJob | undefined): boolean {
  const { waiting, backfill } = keptTriggersOf(kept);
  return waiting === 0 && backfill === undefined && carried !== undefined && keepsNothing(carried);
}

/** What a kept job kept, as far as it can be read here. */
export interface KeptListing extends Omit<KeptTriggers, 'waiting'> {
  /** Absent when it is encrypted with a key that is not here. */
  readonly waiting?: number;
}

/** A kept job as the server lists it. */
export interface KeptJobListing extends KeptListing {
  /** Says the same about the job as the job's own memo. */
  readonly memo: Record<string, unknown> | undefined;
  readonly startTime: Date;
  /** Of the workflow that keeps it, which may have ended. */
  readonly status: WorkflowExecutionInfo['status'];
  readonly taskQueue: string;
}

/** What each job kept last and nobody has decided about, by the job's workflow id. */
export async function listKept(client: Client): Promise<Map<string, KeptJobListing>> {
  const all = new Map<string, KeptJobListing>();
  const end = keptWorkflowId('').length;
  for await (const run of clientForLists(client).workflow.list({ query: KEPT_QUERY })) {
    const { memo, startTime, status, taskQueue } = run;
    const workflowId = run.workflowId.slice(0, -end);
    if ((all.get(workflowId)?.startTime ?? 0) > startTime) continue;
    const { waiting, ...kept } = keptTriggersOf(run);
    const isReadable = undecodableReason(memo?.['waiting']) === undefined;
    const what: KeptListing = isReadable ? { waiting, ...kept } : kept;
    all.set(workflowId, { memo, startTime, status, taskQueue, ...what });
  }
  return all;
}

/**
 * Lets a kept job run again, also one that was paused when it stopped, and gives its status; undefined when nothing is kept of it.
 * @throws RequestRefused when it cannot be started, or somebody else decided otherwise; NoWorker: nothing was asked; OutcomeUnknown when it does
 *   not run within 20 s.
 */
export async function resumeKept(client: Client, jobId: string): Promise<JobStatus | undefined> {
  const kept = await decideKept(client, jobId, 'resumed');
  if (kept === undefined) return undefined;
  const status = await settled(queryStatus(client, jobId), ofJob('resume', jobId));
  if (status.state === 'paused') return await updateJob(client, jobId, resumeUpdate, []);
  if (status.state === 'stopping')
    throw new RequestRefused(jobId, 'It ran again, and was then stopped by somebody else.');
  return status;
}

/**
 * Drops what is kept of a job, and says what that was; undefined when nothing is.
 * @throws RequestRefused when somebody else resumed it; NoWorker: nothing was asked; OutcomeUnknown
 */
export async function discardKept(client: Client, jobId: string): Promise<KeptTriggers | undefined> {
  const kept = await decideKept(client, jobId, 'discarded');
  return kept === undefined ? undefined : keptTriggersOf(kept);
}

/** Ends what is kept of a job that is running again by other means; what another job with its id has kept stays. */
export async function dropKept(client: Client, jobId: string, subscriptionId: string): Promise<void> {
  const kept = await describeKept(client, jobId);
  if (kept === undefined) return;
  const input = await new TemporalSideWorkflows(client, kept.taskQueue).inputOf(kept.workflowId);
  if ((input as KeptJob | undefined)?.carried.job.subscriptionId !== subscriptionId) return; // What our own activity wrote.
  await endKept(client, kept, 'Its job was recovered, with all of this.');
}

async function endKept(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
  reason: string,
): Promise<void> {
  try {
    await client.workflow.getHandle(workflowId, runId).terminate(reason);
  } catch (error) {
    if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
  }
}

const SIGNALS = { resumed: resumeSignal, discarded: discardSignal } as const;
const COMMANDS = { resumed: 'resume', discarded: 'stop' } as const;

/** Decides what becomes of a kept job, and gives it as it was; undefined when nothing is kept. It is asked first, as `commanding.ts` says. */
async function decideKept(
  client: Client,
  jobId: string,
  end: KeptJobEnd,
): Promise<WorkflowExecutionDescription | undefined> {
  const kept = await describeKept(client, jobId);
  if (kept === undefined) return undefined;
  await ask(client, kept.workflowId, keptJobStatusQuery);
  const commanded = ofJob(COMMANDS[end], jobId);
  try {
    await settled(keptHandle(client, jobId).signal(SIGNALS[end]), commanded);
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
  await settled(untilDecided(client, jobId, kept, end), commanded);
  return kept;
}

/** @throws RequestRefused when what was wished for did not happen; NoWorker when nothing has happened in time. */
async function untilDecided(
  client: Client,
  jobId: string,
  kept: WorkflowExecutionDescription,
  wished: KeptJobEnd,
): Promise<void> {
  const deadline = Date.now() + DECIDED_MS;
  for (;;) {
    const { state, notice } = await ask(client, kept.workflowId, keptJobStatusQuery);
    if (state === wished) break;
    if (state === 'resumed' || state === 'discarded') throw new RequestRefused(jobId, OVERRULED[state]);
    // It is back where it was: what was asked for could not be done.
    if (state === 'kept' && notice !== undefined) throw new RequestRefused(jobId, notice);
    await lookAgainSoon(client, kept, deadline);
  }
  // It answers in its last task, and may be open for a moment after that: whoever looked then would find it kept.
  while ((await describeKept(client, jobId))?.runId === kept.runId) await lookAgainSoon(client, kept, deadline);
  // To discard, its job runs once more, to release what is waiting outside its state.
  if (wished === 'discarded')
    while ((await endOf(client, jobId)) === undefined) await lookAgainSoon(client, kept, deadline);
}

/** What the one of two people is told whose wish came too late. */
const OVERRULED = {
  resumed: 'Somebody resumed it at the same time, so nothing was discarded: the job is running.',
  discarded: 'Somebody discarded what it kept at the same time, so there is nothing left to resume.',
} as const;

async function lookAgainSoon(
  client: Client,
  { taskQueue }: WorkflowExecutionDescription,
  deadline: number,
): Promise<void> {
  if (Date.now() > deadline) throw await noWorker(client, taskQueue, { waitedMs: DECIDED_MS });
  await setTimeout(LOOK_AGAIN_MS);
}

async function describeKept(client: Client, jobId: string): Promise<WorkflowExecutionDescription | undefined> {
  return await describeOpen(client, keptWorkflowId(jobWorkflowId(jobId)));
}

function keptHandle(client: Client, jobId: string) {
  return client.workflow.getHandle(keptWorkflowId(jobWorkflowId(jobId)));
}

function keptTriggersOf({ memo, startTime }: Pick<WorkflowExecutionInfo, 'memo' | 'startTime'>): KeptTriggers {
  const { waiting, keptAt, backfill } = memo ?? {};
  return {
    waiting: typeof waiting === 'number' ? waiting : 0,
    ...(isKeptBackfill(backfill) ? { backfill } : {}),
    keptAt: typeof keptAt === 'string' ? keptAt : startTime.toISOString(),
  };
}

/** Our own activity wrote it, but memos are foreign data. */
function isKeptBackfill(value: unknown): value is KeptBackfill {
  if (!isRecord(value)) return false;
  const { n, taken, expected } = value;
  return typeof n === 'number' && typeof taken === 'number' && ['number', 'undefined'].includes(typeof expected);
}
