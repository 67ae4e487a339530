import type { LeftOver } from '../../words/losses.ts';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { definedOf, isRecord } from '../../domain/json.ts';
import type {
  EndpointStatus,
  JobState,
  JobStatus,
  JobTrend,
  KeptTriggers,
  LastFailure,
} from '../../contract/job-status.ts';
import { undecodableReason } from '../../domain/errors.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { instantOf } from '../../domain/instant.ts';
import { EXPORT_JOB, jobIdOf, jobWorkflowId } from '../../domain/names.ts';
import { isBackfillOver } from '../../domain/job-state.ts';
import { trendUntil } from '../../domain/trend.ts';
import type { Destination } from './twins.ts';
import type { UrlDigests } from '../../domain/workflow-visibility.ts';
import { ask } from '../calls/asking.ts';
import { JobNotRunning } from '../calls/errors.ts';
import {
  clientForLists,
  describeLast,
  describeOpen,
  endedAs,
  endedFromOutside,
  isOpen,
  isStopped,
  JOB_STATUS,
  retentionMs,
} from '../calls/executions.ts';
import { describeExecution, queryQuickly, quickStatus } from './job-service.ts';
import { statusQuery, trendQuery } from '../../workflows/messages.ts';
import { isShapeFault } from '../calls/server-errors.ts';
import { anyLetterWaits, lettersInStatus } from './waiting-letters.ts';

/** A job as the list shows it; ask `status` for more. */
export interface JobSummary {
  readonly jobId: string;
  readonly workflowId: string;
  /** The queue of its workers. */
  readonly taskQueue: string;
  /** As the job reports it; for one that has ended, how it ended (`stopped`, `failed`, `terminated`, …). */
  readonly state: JobState | (string & {});
  readonly running: boolean;
  /** Absent when it was started without one. */
  readonly label?: string;
  readonly description?: string;
  /** Absent when it was started without one. */
  readonly audiences?: readonly AudienceName[];
  /** Why its label, audiences or backlog cannot be read here: their key is missing. */
  readonly unreadable?: string;
  readonly startedAt: Date;
  readonly endedAt?: Date;
  /** The backlog that it keeps, once it has stopped and can be resumed. */
  readonly kept?: KeptListing;
  /** Its workflow was terminated, failed or timed out, so that nobody stopped it. Absent: no. */
  readonly endedFromOutside?: true;
}

export interface AudienceName {
  readonly id: string;
  readonly slug: string;
}

/** All jobs that the server still knows: one entry per id, of its newest run. A new job shows up within about a second. */
export async function listJobs(
  client: Client,
  only: { readonly areRunning?: boolean; readonly taskQueue?: string } = {},
): Promise<JobSummary[]> {
  const jobs = (await newestRuns(client, only)).map(summaryOf);
  return jobs
    .filter(({ running }) => running || only.areRunning !== true)
    .sort((a, b) => Number(b.running) - Number(a.running) || compare(a.jobId, b.jobId));
}

/** The newest run of each job that the server still knows, in no order. */
export async function newestRuns(client: Client, only: Parameters<typeof jobRuns>[1]): Promise<ListedRun[]> {
  const newest = new Map<string, ListedRun>();
  for await (const run of jobRuns(client, only)) {
    const known = newest.get(run.workflowId);
    if (known === undefined || isNewer(run, known)) newest.set(run.workflowId, run);
  }
  return [...newest.values()];
}

function isNewer(run: ListedRun, than: ListedRun): boolean {
  return isOpen(run) === isOpen(than) ? run.startTime > than.startTime : isOpen(run);
}

/** Returns jobs of a task queue that were ended from outside since a time (epoch ms), and what they left. They did not begin again. */
export async function endedSince(client: Client, taskQueue: string, sinceMs: number): Promise<JobOverview[]> {
  const query = `WorkflowType = '${EXPORT_JOB}' AND ExecutionStatus IN ('Terminated', 'TimedOut', 'Failed') AND CloseTime >= '${instantOf(sinceMs)}'`;
  const lenient = clientForLists(client);
  const ended: JobSummary[] = [];
  for await (const { workflowId, runId, taskQueue: queue } of lenient.workflow.list({ query })) {
    // It may have been recovered, started again or reset meanwhile.
    const last = queue === taskQueue ? await describeLast(lenient, workflowId) : undefined;
    if (last?.runId === runId) ended.push(summaryOf(last));
  }
  return await withNumbers(client, ended);
}

/** Returns the jobs that have stopped and keep their backlog, so that they may be resumed. */
export async function keptJobs(client: Client): Promise<JobSummary[]> {
  return (await listJobs(client)).filter(({ kept }) => kept !== undefined);
}

/** Returns the running jobs that can be reached by a job id: none that was started under a foreign workflow id. */
export async function reachableJobs(client: Client): Promise<JobSummary[]> {
  const jobs = await listJobs(client, { areRunning: true });
  return jobs.filter(({ jobId, workflowId }) => workflowId === jobWorkflowId(jobId));
}

/** Returns where the running jobs of a task queue send, as far as their memos can be read. */
export async function destinationsIn(client: Client, taskQueue: string): Promise<Destination[]> {
  const found: Destination[] = [];
  for await (const run of jobRuns(client, { areRunning: true, taskQueue })) {
    const { jobId, workflowId, running, state, audiences } = summaryOf(run);
    const urls = run.memo?.['sendsTo'];
    const isSending = running && state !== 'stopping' && workflowId === jobWorkflowId(jobId);
    if (isSending && audiences !== undefined && isUrlDigests(urls)) found.push({ jobId, urls, audiences });
  }
  return found;
}

/** A job, and its audiences by the slugs that it knows. */
export interface KnowingJob {
  readonly jobId: string;
  readonly taskQueue: string;
  readonly audiences: readonly AudienceName[];
  readonly state: JobSummary['state'];
}

/**
 * Returns the audiences as a job knows them; undefined when it has ended. @throws JobNotFound, UnknownPayloadKey; JobNotRunning when it has stopped
 */
export async function knowingJob(client: Client, jobId: string): Promise<KnowingJob | undefined> {
  const found = await describeExecution(client, jobId);
  const { audiences = [], taskQueue, state, running, kept } = summaryOf(found);
  if (kept !== undefined) throw new JobNotRunning(jobId, 'stopped', { left: 'kept' });
  return running ? { jobId, taskQueue, audiences, state } : undefined;
}

/** The backlog of a stopped job, as lists show it. */
export type KeptListing = Partial<KeptTriggers>;

/** Returns the backlog in a job's memo; undefined unless it has stopped. Memos are foreign data. */
function keptIn(run: ListedRun): KeptListing | undefined {
  if (!isStopped(run)) return undefined;
  const kept = run.memo?.['kept'];
  // If its key is not here, all that is known is that it exists.
  return isRecord(kept) && undecodableReason(kept) === undefined ? kept : {};
}

function summaryOf(run: ListedRun): JobSummary {
  const kept = keptIn(run);
  const running = isOpen(run) && kept === undefined;
  return {
    jobId: jobIdOf(run.workflowId),
    workflowId: run.workflowId,
    taskQueue: run.taskQueue,
    state: stateOf(run, kept),
    running,
    ...presentation(run.memo),
    startedAt: run.startTime,
    ...definedOf({ endedAt: run.closeTime, kept }),
    ...(endedFromOutside(run.status.name) ? { endedFromOutside: true } : {}),
  };
}

function stateOf(run: ListedRun, kept: KeptListing | undefined): JobSummary['state'] {
  if (kept !== undefined) return 'stopped';
  return isOpen(run) ? (run.typedSearchAttributes.get(JOB_STATUS) ?? 'running') : endedAs(run.status.name);
}

/** Shown instead of a label that is encrypted with a key that is not here. */
const UNREADABLE = '(encrypted)';

/** Returns what a memo says about a job. Memos are foreign data: any client may start a job with any memo. */
function presentation(
  memo: Record<string, unknown> | undefined,
): Pick<JobSummary, 'label' | 'description' | 'audiences' | 'unreadable'> {
  const { label, description, audiences } = memo ?? {};
  const unreadable = undecodableReason(audiences);
  return {
    ...(typeof label === 'string' ? { label } : undecodableReason(label) === undefined ? {} : { label: UNREADABLE }),
    ...(typeof description === 'string' ? { description } : {}),
    ...(isAudienceNames(audiences) ? { audiences } : {}),
    ...(unreadable === undefined ? {} : { unreadable }),
  };
}

function isAudienceNames(value: unknown): value is readonly AudienceName[] {
  return (
    Array.isArray(value) && value.every((item: unknown) => isRecord(item) && isText(item['id']) && isText(item['slug']))
  );
}

function isUrlDigests(value: unknown): value is UrlDigests {
  return Array.isArray(value) && value.length === 2 && value.every(isText);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A job as the list shows it, with the numbers that only the job itself knows. */
export interface JobOverview extends JobSummary {
  /** Absent for a job that has ended, did not answer in time, or was not asked. */
  readonly numbers?: JobNumbers;
  /** The rest of one that was ended from outside, as far as that is known soon. */
  readonly left?: LeftOver;
  /** Whether it runs and was not asked, since there are too many. Absent: no. */
  readonly isNotAsked?: true;
  /** Its last hour, by minute; only if asked for, and absent when `numbers` is. */
  readonly lastHour?: LastHour;
}

export interface OverviewOptions {
  /** Whether to ask each job for its last hour, too: one more query to each. */
  readonly lastHour?: boolean;
}

/** Minute by minute, oldest first, without a gap, up to now; at most 60. See `TrendPoint`. */
export interface LastHour {
  /** RFC 3339: when the first of them began. */
  readonly from: string;
  readonly delivered: readonly number[];
  readonly failed: readonly number[];
  readonly waiting: readonly number[];
}

export interface JobNumbers {
  readonly waiting: number;
  readonly delivered: number;
  /** RFC 3339 */
  readonly lastDeliveredAt?: string;
  /** RFC 3339: when the job accepted the trigger that has waited longest; absent when nothing waits. */
  readonly oldestWaitingAt?: string;
  readonly lastFailure?: LastFailure;
  /** Absent when nothing is amiss. */
  readonly endpoint?: EndpointStatus['state'];
  /** Why it is paused, in words; absent when it is not. */
  readonly pauseReason?: string;
  /** See `JobStatus`. */
  readonly deadLettersWaiting?: number;
  /** See `JobStatus`. */
  readonly deadLettersOfEarlierJobs?: number;
}

/** How many jobs are asked at a time, how many at most, and for how long in total. */
const AT_ONCE = 16;
const MOST = 500;
const LOOK_MS = 10_000;

/** Returns all jobs that the server still knows, the running ones with their numbers if they answer soon. */
export async function overview(client: Client, options: OverviewOptions = {}): Promise<JobOverview[]> {
  return await withNumbers(client, await listJobs(client), options);
}

/** Returns the jobs with their numbers. Exported for its test. */
export async function withNumbers(
  client: Client,
  jobs: readonly JobSummary[],
  { lastHour = false, lookMs = LOOK_MS }: OverviewOptions & { readonly lookMs?: number } = {},
): Promise<JobOverview[]> {
  const endsAtMs = performance.now() + lookMs;
  const found = new Map<string, Pick<JobOverview, 'numbers' | 'lastHour'>>();
  // If one job of a queue did not answer and none has, there most likely is no worker: the others are not asked.
  const silent = new Set<string>();
  const answered = new Set<string>();
  const running = jobs.filter((job) => job.running);
  const ended = jobs.filter((job) => job.endedFromOutside);
  const last = new Map<string, JobStatus | undefined>();
  const notAsked = new Set(running.map(({ workflowId }) => workflowId));
  const mayHaveLetters = running.length > 0 && anyLetterWaits(client);
  await forEachLimit([...running, ...ended].slice(0, MOST), AT_ONCE, async (job) => {
    const { workflowId, taskQueue } = job;
    if (performance.now() >= endsAtMs) return;
    notAsked.delete(workflowId);
    if (silent.has(taskQueue) && !answered.has(taskQueue)) return;
    if (!job.running) return void last.set(workflowId, await lastStatus(client, job));
    const [status, trend] = await Promise.all([
      quickStatus(client, workflowId),
      lastHour ? queryQuickly(client, workflowId, trendQuery) : undefined,
    ]);
    (status === undefined ? silent : answered).add(taskQueue);
    if (status === undefined) return;
    try {
      const numbers = await numbersOf(client, status, { taskQueue, mayHaveLetters: await mayHaveLetters });
      found.set(workflowId, { numbers, ...(trend == null ? {} : lastHourOf(trendUntil(trend, Date.now()))) });
    } catch (error) {
      // A worker of others answered.
      if (!isShapeFault(error)) throw error;
    }
  });
  const keptMs = ended.length === 0 ? undefined : await retentionMs(client).catch(() => undefined);
  return jobs.map((job) => ({
    ...job,
    ...found.get(job.workflowId),
    ...(job.endedFromOutside ? { left: leftOf(job, last.get(job.workflowId), keptMs) } : {}),
    ...(notAsked.has(job.workflowId) ? { isNotAsked: true } : {}),
  }));
}

/** Longest time, in ms, for one of the last statuses. */
const LAST_STATUS_MS = 2_000;
/** The last statuses of jobs that have ended, by run. They never change, and a worker has to read a whole run for each. */
const lastStatuses = new WeakMap<Client, Map<string, JobStatus>>();

async function lastStatus(client: Client, { workflowId, endedAt }: JobSummary): Promise<JobStatus | undefined> {
  const known = lastStatuses.get(client) ?? new Map<string, JobStatus>();
  lastStatuses.set(client, known);
  const run = `${workflowId} ${endedAt?.getTime()}`;
  const asked = async (): Promise<JobStatus> => {
    const ended = await client.workflow.getHandle(workflowId).describe();
    return await ask(client, workflowId, statusQuery, { answerMs: LAST_STATUS_MS, run: ended });
  };
  const status = known.get(run) ?? (await asked().catch(() => undefined));
  if (status !== undefined && known.size < MOST) known.set(run, status);
  return status;
}

function leftOf({ state, endedAt }: JobSummary, status: JobStatus | undefined, keptMs: number | undefined): LeftOver {
  // One that failed before it began has a wrong definition, and can never send anything.
  const mayGoOn = state !== 'failed' || status?.state !== 'starting';
  const until = mayGoOn && keptMs !== undefined ? instantOf((endedAt?.getTime() ?? 0) + keptMs) : undefined;
  // A worker of others may have answered.
  const { waiting, backfill } = status ?? {};
  return {
    ...definedOf({ until, waiting: typeof waiting === 'number' ? waiting : undefined }),
    ...(backfill != null && !isBackfillOver(backfill.state) ? { backfill: true } : {}),
  };
}

function lastHourOf({ hour }: JobTrend): Pick<JobOverview, 'lastHour'> {
  const [first] = hour;
  if (first === undefined) return {};
  const values = (name: 'delivered' | 'failed' | 'waiting') => hour.map((point) => point[name]);
  return {
    lastHour: {
      from: first.at,
      delivered: values('delivered'),
      failed: values('failed'),
      waiting: values('waiting'),
    },
  };
}

async function numbersOf(
  client: Client,
  status: JobStatus,
  { taskQueue, mayHaveLetters }: { readonly taskQueue: string; readonly mayHaveLetters: boolean },
): Promise<JobNumbers> {
  const { waiting, delivered, lastDeliveredAt, oldestWaitingAt, lastFailure, endpoint, state, reason } = status;
  return {
    waiting,
    delivered,
    ...definedOf({ lastDeliveredAt, oldestWaitingAt, lastFailure }),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.state }),
    ...(state === 'paused' ? definedOf({ pauseReason: reason }) : {}),
    ...(mayHaveLetters ? await lettersInStatus(client, status, taskQueue) : {}),
  };
}

/** A run as the server lists or describes it. */
export type ListedRun = Omit<WorkflowExecutionInfo, 'raw'>;

/**
 * How long ago, in ms, a run may have ended whose next run the server does not list yet. Mostly it takes milliseconds, but it depends on the indexing
 * of search attributes. The value is longer, since the server's clock may differ.
 */
const BETWEEN_RUNS_MS = 30_000;

/** Names that a query finds. For others it depends on the server's database: with SQL, no query finds a name that has a quote or a backslash. */
const PLAIN = /^[\w .:@/+-]+$/;

/**
 * Yields the last runs of all jobs that the server still knows. It includes jobs that the server does not list because they have just begun another
 * run. If a job was started again, the last runs of its earlier lives are included.
 *
 * @param which.areRunning only those that run.
 * @param which.taskQueue only those of this queue.
 */
export async function* jobRuns(
  client: Client,
  which: { readonly areRunning?: boolean; readonly taskQueue?: string | undefined },
): AsyncGenerator<ListedRun> {
  const { areRunning = false, taskQueue } = which;
  const status = areRunning ? "ExecutionStatus = 'Running'" : "ExecutionStatus != 'ContinuedAsNew'";
  const since = new Date(Date.now() - BETWEEN_RUNS_MS).toISOString();
  const query = [
    `WorkflowType = '${EXPORT_JOB}'`,
    `(${status} OR (ExecutionStatus = 'ContinuedAsNew' AND CloseTime > '${since}'))`,
    ...(taskQueue !== undefined && PLAIN.test(taskQueue) ? [`TaskQueue = '${taskQueue}'`] : []),
  ].join(' AND ');
  const continued = new Set<string>();
  const open = new Set<string>();
  const lenient = clientForLists(client);
  for await (const run of lenient.workflow.list({ query })) {
    if (taskQueue !== undefined && run.taskQueue !== taskQueue) continue;
    if (run.status.name === 'CONTINUED_AS_NEW') {
      continued.add(run.workflowId);
      continue;
    }
    if (isOpen(run)) open.add(run.workflowId);
    yield run;
  }
  const rest = [...continued].filter((workflowId) => !open.has(workflowId));
  const found: ListedRun[] = [];
  await forEachLimit(rest, AT_ONCE, async (workflowId) => {
    const run = await describeOpen(lenient, workflowId);
    if (run !== undefined) found.push(run);
  });
  yield* found;
}
