import type { WorkerHealth } from '../../worker/worker-health.ts';
import { type Expiring, expiringOf } from '../../client/calls/expiring.ts';
import { DESCRIBE_WORKER } from './ports.ts';
import { setTimeout } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { decodeOptionalFailureToOptionalError } from '@temporalio/common/lib/internal-non-workflow/codec-helpers.js';
import { z } from 'zod';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import {
  alertFindings,
  type AnsweringWorker,
  type AskedWorkers,
  attributeFindings,
  endedFindings,
  expiringFindings,
  type Finding,
  type HealthCheck,
  jobFindings,
  ownFindings,
  queueFindings,
  retentionFindings,
  type SeenJob,
  type SeenQueue,
  temporalFindings,
  type UnsentAlert,
  unknownFindings,
  watchFindings,
  WORKER_CHECKS,
  workerFindings,
} from './findings.ts';
import { definedOf } from '../../domain/json.ts';
import { ALERTS, alertsWorkflowId } from '../alerts/sandbox/ports.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { pollersOf, taskFailureOf } from '../../client/calls/asking.ts';
import { addressOf, type ConnectConfig, connectClient } from '../../client/calls/connect.ts';
import { NoWorker, NotLetIn, ServerUnreachable, WorkerFailed } from '../../client/calls/errors.ts';
import { clientForLists, describeOpen, retentionMs } from '../../client/calls/executions.ts';
import { type JobSummary, listJobs, withNumbers } from '../../client/jobs/job-list.ts';
import { missingSearchAttributes } from '../../client/jobs/search-attributes.ts';
import { expiringLetters, LETTERS_WAIT } from '../../client/jobs/waiting-letters.ts';
import { rpcWorkflowId, workerRpc } from '../../client/jobs/worker-rpc.ts';
import { temporalProblem, type TemporalProblem } from '../../client/calls/temporal-problem.ts';
import { Watches } from '../watch/watches.ts';

/** Longest time for a check, in ms; for that of the jobs, of which there may be many. */
const CHECK_MS = 5_000;
const JOBS_MS = 9_000;
/** How long, in ms, all jobs together have to give their numbers, and a worker to answer. */
const NUMBERS_MS = 4_000;
const WORKER_MS = 3_500;
/** Any worker may take a question: with so many for each, hardly any worker is left out. */
const QUESTIONS_EACH = 2;
const MOST_QUESTIONS = 8;
/** A worker asks at least once a minute: one not seen for longer, in ms, is gone. */
const GONE_MS = 90_000;
/** How long, in ms, jobs without an answer are looked at, one by one. */
const LOOKS_MS = 2_000;
/** Most workflows with alerts that are looked at, one by one. */
const MOST_ALERTS = 20;
const AT_ONCE = 10;
/** How long before their end, in ms, dead letters are a finding. */
const LAST_MS = 24 * 60 * 60_000;

export interface HealthOptions {
  /** Whose workers are asked. */
  readonly taskQueue: string;
  /** How the client is connected. */
  readonly connection: ConnectConfig;
  /** More of the asker's own that expires. Default: nothing. */
  readonly expiring?: readonly Expiring[];
}

/**
 * Connects, and checks the same as `findHealth`; that it cannot connect is a finding, too.
 * @param payloadKeys as configured, the same as the workers'.
 */
export async function connectAndFindHealth(payloadKeys: readonly string[], options: HealthOptions): Promise<Finding[]> {
  const connected = await connectClient(options.connection, payloadKeys).catch(problemOf);
  if ('code' in connected) return withoutTemporal(connected, options);
  try {
    return await findHealth(connected.client, options);
  } finally {
    await connected.abandon();
  }
}

/** Checks an installation, within some ten seconds. No check holds up another, or makes it fail. */
export async function findHealth(client: Client, options: HealthOptions): Promise<Finding[]> {
  const problem = await temporalProblem(client);
  if (problem !== undefined) return withoutTemporal(problem, options);
  const { taskQueue, connection } = options;
  const jobs = listJobs(client);
  const running = jobs.then((all) => all.filter((job) => job.running));
  const ended = jobs.then((all) => all.filter((job) => job.endedFromOutside));
  const asked = askWorkers(client, taskQueue);
  const queues = running.then((jobs) => queuesOf(client, jobs, taskQueue));
  const found = await Promise.all([
    checked(['ended-jobs'], async () => endedFindings(await withNumbers(client, await ended, { lookMs: NUMBERS_MS }))),
    checked(['temporal'], async () =>
      temporalFindings(undefined, { ...placeOf(options), ...(await serverOf(client)) }),
    ),
    checked(['retention'], async () => retentionFindings(await retentionMs(client), connection.namespace)),
    checked(['search-attributes'], async () =>
      attributeFindings(await missingSearchAttributes(client.connection, connection.namespace)),
    ),
    checked(['workers'], async () => queueFindings(await queues, await asked)),
    checked(WORKER_CHECKS, async () => workerFindings(await asked, ownOf(options), Date.now())),
    checked(['jobs', 'endpoints'], async () => await lookAtJobs(client, await running, await queues), JOBS_MS),
    checked(['dead-letters'], async () => {
      const expiring = await expiringLetters(client, Date.now(), Date.now() + LAST_MS);
      return expiringFindings(expiring, (await client.workflow.count(LETTERS_WAIT)).count);
    }),
    checked(['watches'], async () => watchFindings(await new Watches({ open: () => client, taskQueue }).list())),
    checked(['alerts'], async () => alertFindings(await unsentAlerts(client))),
  ]);
  return found.flat();
}

function withoutTemporal(problem: TemporalProblem, options: HealthOptions): Finding[] {
  const own = ownFindings(ownOf(options), Date.now());
  return [...temporalFindings(problem, placeOf(options)), ...own, ...unknownFindings('Temporal cannot be used.')];
}

function ownOf({ connection, expiring = [] }: HealthOptions): readonly Expiring[] {
  return [...expiringOf(connection), ...expiring];
}

function placeOf({ connection }: HealthOptions) {
  return { address: addressOf(connection), namespace: connection.namespace };
}

/** Returns what the checks find; or that they could not be made, also if that takes too long. */
async function checked(
  checks: readonly HealthCheck[],
  find: () => Promise<Finding[]>,
  limitMs = CHECK_MS,
): Promise<Finding[]> {
  const done = new AbortController();
  const late = unknownFindings(`There was no answer within ${limitMs / 1000} s.`, checks);
  try {
    return await Promise.race([find(), setTimeout(limitMs, late, { signal: done.signal })]);
  } catch (error) {
    return unknownFindings(problemOf(error).message, checks);
  } finally {
    done.abort();
  }
}

function problemOf(thrown: unknown): TemporalProblem {
  const error = NotLetIn.of(thrown) ?? ServerUnreachable.of(thrown) ?? thrown;
  if (!(error instanceof Error)) return { code: 'Error', message: String(error) };
  return { code: error.name, message: error instanceof NoWorker ? error.why : error.message };
}

async function serverOf(client: Client) {
  const { serverVersion, historyShardCount, persistenceStore } = await client.workflowService.getClusterInfo({});
  return { version: serverVersion, historyShards: historyShardCount, database: persistenceStore };
}

/** The asker's task queue, and those of running jobs. */
async function queuesOf(client: Client, running: readonly JobSummary[], own: string): Promise<SeenQueue[]> {
  const queues = [...new Set([own, ...running.map(({ taskQueue }) => taskQueue)])];
  const found = new Map<string, SeenQueue>();
  await forEachLimit(queues, AT_ONCE, async (taskQueue) => {
    const pollers = (await pollersOf(client, taskQueue)).filter(({ lastPollMsAgo }) => lastPollMsAgo < GONE_MS);
    const jobs = running.flatMap((job) => (job.taskQueue === taskQueue ? [job.jobId] : []));
    found.set(taskQueue, { taskQueue, jobs, pollers });
  });
  return queues.flatMap((taskQueue) => found.get(taskQueue) ?? []);
}

async function askWorkers(client: Client, taskQueue: string): Promise<AskedWorkers> {
  const pollers = await pollersOf(client, taskQueue);
  const questions = Math.min(pollers.length * QUESTIONS_EACH, MOST_QUESTIONS);
  const asked = await Promise.allSettled(Array.from({ length: questions }, () => askWorker(client, taskQueue)));
  const answers = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failures = asked.flatMap((one): unknown[] => (one.status === 'rejected' ? [one.reason] : []));
  const byWorker = new Map(answers.map((one) => [one.worker, one]));
  const all = { taskQueue, answers: [...byWorker.values()] };
  if (failures.length === 0) return all;
  const otherKeys = failures.find(isOfOtherKeys);
  return { ...all, problem: { ...problemOf(otherKeys ?? failures[0]), hasOtherKeys: otherKeys !== undefined } };
}

/** Whether a worker could not read the question, or this program not the answer. */
function isOfOtherKeys(failure: unknown): boolean {
  return failure instanceof UnknownPayloadKey || (failure instanceof WorkerFailed && failure.hasOtherKeys);
}

/** Most characters of a text in an answer. */
const MOST_TEXT = 4_000;
const text = z.string().transform((all) => all.slice(0, MOST_TEXT).toWellFormed());
const workerHealth: z.ZodType<WorkerHealth> = z.object({
  worker: text,
  release: text,
  nowMs: z.number(),
  payloadKeys: z.array(text),
  authorizations: z.array(text),
  fingerprints: z.record(text, text).optional(),
  hasDeliveryLog: z.boolean(),
  problems: z.record(z.string(), text),
  disks: z.array(z.union([z.object({ folder: text, freeBytes: z.number() }), z.object({ folder: text, code: text })])),
  expiring: z.array(z.object({ of: text, at: text })),
});

/**
 * The answer of a worker: of another release, or of anybody who reaches the server. Exported for its test.
 * @throws WorkerFailed
 */
export function readWorkerHealth(taskQueue: string, answer: unknown): WorkerHealth {
  const { data } = workerHealth.safeParse(answer);
  if (data === undefined) throw new WorkerFailed(taskQueue, 'This program cannot read its answer.');
  return data;
}

async function askWorker(client: Client, taskQueue: string): Promise<AnsweringWorker> {
  const workflowId = rpcWorkflowId(DESCRIBE_WORKER);
  const beganMs = Date.now();
  const answer = await workerRpc(client, taskQueue, DESCRIBE_WORKER, null, WORKER_MS, workflowId);
  const endedMs = Date.now();
  const health = readWorkerHealth(taskQueue, answer);
  // Its times are those of the server's clock.
  const { startTime, closeTime } = await client.workflow.getHandle(workflowId).describe();
  return {
    ...health,
    aheadMs: outside(health.nowMs, startTime.getTime(), closeTime?.getTime() ?? Infinity),
    askerAheadMs: -outside(startTime.getTime(), beganMs, endedMs),
  };
}

/** How far a time lies after an interval, or before it as a negative number; 0: within. */
function outside(ms: number, fromMs: number, untilMs: number): number {
  return Math.round(Math.min(0, ms - fromMs) + Math.max(0, ms - untilMs));
}

/** Jobs without a worker are left out: none could answer, and their task queue is a finding. */
async function lookAtJobs(
  client: Client,
  running: readonly JobSummary[],
  queues: readonly SeenQueue[],
): Promise<Finding[]> {
  const unserved = queues.filter(({ pollers }) => pollers.length === 0);
  const jobs = running.filter((job) => !unserved.some(({ taskQueue }) => taskQueue === job.taskQueue));
  const asked = await withNumbers(client, jobs, { lookMs: NUMBERS_MS });
  const silent = asked.filter(({ numbers, isNotAsked }) => numbers === undefined && isNotAsked !== true);
  const found = new Map<string, SeenJob['silent']>();
  const endsAtMs = performance.now() + LOOKS_MS;
  await forEachLimit(silent, AT_ONCE, async (job) => {
    if (performance.now() < endsAtMs) found.set(job.jobId, await silenceOf(client, job));
  });
  return jobFindings(
    asked.map(({ jobId, numbers }): SeenJob => ({ jobId, ...definedOf({ numbers, silent: found.get(jobId) }) })),
    unserved.flatMap(({ jobs: unasked }) => unasked),
  );
}

async function silenceOf(client: Client, { workflowId, unreadable }: JobSummary): Promise<SeenJob['silent']> {
  const { raw } = (await describeOpen(clientForLists(client), workflowId)) ?? {};
  const attempts = raw?.pendingWorkflowTask?.attempt ?? 0;
  const failure = attempts > 1 ? await taskFailureOf(client, workflowId) : undefined;
  return { attempts, code: failure?.code ?? '', ...definedOf({ reason: failure?.message ?? unreadable }) };
}

/** Alerts that their webhook has not accepted so far; each is tried for at most a day. */
async function unsentAlerts(client: Client): Promise<UnsentAlert[]> {
  const lenient = clientForLists(client);
  const workflowIds: string[] = [];
  const query = `WorkflowType = '${ALERTS}' AND ExecutionStatus = 'Running'`;
  for await (const { workflowId } of lenient.workflow.list({ query }))
    if (workflowIds.push(workflowId) === MOST_ALERTS) break;
  const ofJobs = alertsWorkflowId({ job: { id: '' } });
  const found: UnsentAlert[] = [];
  await forEachLimit(workflowIds, AT_ONCE, async (workflowId) => {
    const { raw } = (await describeOpen(lenient, workflowId)) ?? {};
    for (const { attempt, lastFailure } of raw?.pendingActivities ?? []) {
      const failure = await decodeOptionalFailureToOptionalError(client.options.loadedDataConverter, lastFailure);
      if (failure === undefined) continue;
      const job = workflowId.startsWith(ofJobs) ? workflowId.slice(ofJobs.length) : undefined;
      const attempts = Math.max(1, (attempt ?? 0) - 1);
      found.push({ workflowId, attempts, problem: failure.message, ...definedOf({ job }) });
    }
  });
  return found;
}
