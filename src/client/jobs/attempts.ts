import type { JobFact } from '../calls/job-fact.ts';
import type { Client } from '@temporalio/client';
import type { Attempt } from '../calls/attempt.ts';
import { isRecord } from '../../domain/json.ts';
import { JOB_ID_PATTERN, jobWorkflowId } from '../../domain/names.ts';
import { attemptsOf } from './slice-attempts.ts';
import { clientForLists } from '../calls/executions.ts';
import { JobNotFound } from '../calls/errors.ts';
import { describeExecution } from './job-service.ts';
import { beginningOf, type RunBeginning, runFacts } from '../calls/events.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { GRPC, grpcCode } from '../calls/server-errors.ts';

/** A run of a job's workflow. */
export interface JobRunTimes {
  readonly runId: string;
  readonly startedAtMs: number;
  /** Undefined while it is open. */
  readonly closedAtMs: number | undefined;
}

/**
 * The runs of a job that the server still knows, oldest first: those before each continue-as-new, and those before it was stopped, resumed
 * or recovered.
 *
 * @throws JobNotFound
 */
export async function runsOf(client: Client, jobId: string): Promise<JobRunTimes[]> {
  if (!JOB_ID_PATTERN.test(jobId)) throw new JobNotFound(jobId);
  const workflowId = jobWorkflowId(jobId);
  const runs = new Map<string, JobRunTimes>();
  const add = (run: { readonly runId: string; readonly startTime: Date; readonly closeTime?: Date }): void => {
    const { runId, startTime, closeTime } = run;
    runs.set(runId, { runId, startedAtMs: startTime.getTime(), closedAtMs: closeTime?.getTime() });
  };
  // The list lags a moment behind, so the newest run is looked up separately. It may be gone when older ones are still listed.
  const newest = await describeExecution(client, jobId).catch((error: unknown) => error);
  for await (const run of clientForLists(client).workflow.list({ query: `WorkflowId = '${workflowId}'` })) add(run);
  if (newest instanceof Error) {
    if (runs.size === 0 || !(newest instanceof JobNotFound)) throw newest;
  } else add(newest as Awaited<ReturnType<typeof describeExecution>>); // It resolves with nothing else.
  return [...runs.values()].sort((a, b) => a.startedAtMs - b.startedAtMs);
}

/** How many of the last attempts are returned by default. */
const LAST_ATTEMPTS = 20;

export interface AttemptsOptions {
  /** Only those that failed or may have failed. */
  readonly failed?: boolean;
  /** How many of the last ones to begin with; default 20. */
  readonly last?: number;
  /** Continues with new ones, until the job ends or this is aborted. */
  readonly follow?: AbortSignal;
}

/**
 * Yields the last attempts of a job, newest last, from the slices that have ended, across continue-as-new. The attempts of one slice come together, in its
 * own order.
 *
 * @throws JobNotFound, UnknownPayloadKey
 */
export async function* attempts(client: Client, jobId: string, options: AttemptsOptions = {}): AsyncGenerator<Attempt> {
  const { failed = false, last = LAST_ATTEMPTS, follow } = options;
  const read: Reading = { client, jobId, isOfFailures: failed, in: (fact) => attemptsIn(fact, jobId, failed) };
  const runs = await runsOf(client, jobId);
  const newest = runs.at(-1);
  if (follow === undefined || newest === undefined) {
    yield* await lastOf(runs, last, read);
    return;
  }
  const few = new LastFew(last);
  few.add(await lastOf(runs.slice(0, -1), last, read));
  yield* followed(newest.runId, few, follow, read);
}

/** How to read the attempts of a job. */
interface Reading {
  readonly client: Client;
  readonly jobId: string;
  readonly isOfFailures: boolean;
  /** Returns the wanted attempts of a fact. */
  readonly in: (fact: JobFact) => Attempt[];
}

/** Returns the attempts of a slice that has ended; a trigger that it gave back unsent has none. */
function attemptsIn(fact: JobFact, jobId: string, failed: boolean): Attempt[] {
  if (fact.kind !== 'slice' || fact.end.kind === 'running') return [];
  const { runId, atMs } = fact;
  return attemptsOf({ jobId, runId, atMs }, fact, (_, outcome) =>
    failed ? outcome === 'failed' || outcome === 'unknown' : outcome !== 'unsent',
  );
}

/** Reads only as many of the earlier runs as needed, and for failures only runs that have some. */
async function lastOf(runs: readonly JobRunTimes[], last: number, reading: Reading): Promise<Attempt[]> {
  const { client, jobId, isOfFailures } = reading;
  const workflowId = jobWorkflowId(jobId);
  let found: Attempt[] = [];
  let next: RunBeginning | undefined;
  for (const { runId } of runs.toReversed()) {
    if (found.length >= last) break;
    const own = isOfFailures ? await beginning(client, workflowId, runId) : undefined;
    const isFlawless = own !== undefined && next?.continues === runId && slicesFailed(own) === slicesFailed(next);
    next = own;
    if (isFlawless) continue;
    const few = new LastFew(last - found.length);
    for await (const fact of runFacts(client, workflowId, runId)) few.add(reading.in(fact));
    found = [...few.take(), ...found];
  }
  return found;
}

/** How many slices with failures a job had had when a run began. */
function slicesFailed({ args: [input] }: RunBeginning): unknown {
  const counters = isRecord(input) ? input['counters'] : undefined;
  // The first run was started with a definition.
  return isRecord(counters) ? counters['slicesFailed'] : 0;
}

/** Undefined if it cannot be read: then the whole run is read, and the error says why. */
async function beginning(client: Client, workflowId: string, runId: string): Promise<RunBeginning | undefined> {
  try {
    return await beginningOf(client, workflowId, runId);
  } catch (error) {
    if (error instanceof UnknownPayloadKey || grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
}

/** Yields the last of the existing attempts, then all new ones, run by run. */
async function* followed(
  firstRunId: string,
  few: LastFew,
  follow: AbortSignal,
  { client, jobId, in: attemptsOf }: Reading,
): AsyncGenerator<Attempt> {
  const workflowId = jobWorkflowId(jobId);
  const { historyLength } = await client.workflow.getHandle(workflowId, firstRunId).describe();
  let isLive = false;
  for (let runId: string | undefined = firstRunId; runId !== undefined;) {
    let next: string | undefined;
    for await (const fact of runFacts(client, workflowId, runId, {
      following: { signal: follow, events: historyLength },
    })) {
      if (isLive) yield* attemptsOf(fact);
      else few.add(attemptsOf(fact));
      if (fact.kind === 'closed') next = fact.nextRunId;
      if (fact.kind !== 'caught-up' && fact.kind !== 'closed') continue;
      isLive = true;
      yield* few.take();
    }
    runId = next;
  }
}

class LastFew {
  readonly #most: number;
  #held: Attempt[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  add(attempts: readonly Attempt[]): void {
    this.#held.push(...attempts);
    if (this.#held.length > this.#most) this.#held = this.#held.slice(this.#held.length - this.#most);
  }

  take(): Attempt[] {
    return this.#held.splice(0);
  }
}
