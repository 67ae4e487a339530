import type { Client } from '@temporalio/client';
import type { DeadLetterEnd } from '../contract/dead-letter.ts';
import type { JobFact, TraceEvent, TraceLeftOut, TriggerDied } from '../contract/trace.ts';
import { instantOf } from '../domain/instant.ts';
import { knowsPerson } from '../domain/knows-person.ts';
import { jobWorkflowId } from '../domain/names.ts';
import { PersonTrace, type Traced } from '../domain/person-trace.ts';
import { UnknownPayloadKey } from '../payload-codec/unknown-payload-key.ts';
import { DeadLetters } from './dead-letters.ts';
import { JobNotFound } from './errors.ts';
import { inTimeOrder } from './in-time-order.ts';
import { listJobs } from './job-list.ts';
import { runsOf } from './job-runs.ts';
import { isOpen } from './job-service.ts';
import { standingOf } from './person-standing.ts';
import { runFacts } from './run-facts.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** Most jobs that a trace without a job reads, those begun last first. */
export const MOST_JOBS = 100;

export interface TraceProgress {
  readonly jobId: string;
  /** Runs of the job that have been read, of how many. */
  readonly runs: number;
  readonly ofRuns: number;
  /** Facts read of this job so far. */
  readonly facts: number;
}

export interface TraceOptions {
  /** Absent: all jobs of the task queue that the server still knows, at most 100, those begun last first. */
  readonly jobId?: string;
  /** Reports nothing before then, and reads no run that ended before. What is waiting is still reported. */
  readonly since?: Date;
  readonly onProgress?: (progress: TraceProgress) => void;
}

/**
 * All that is known of a person, job by job and in order of time: what was signalled, each attempt with its answer, dead letters, and at
 * the end what is waiting and why. It is read from the histories that the server still keeps, a page at a time. Of several jobs, only those
 * that know the person are reported.
 *
 * @throws JobNotFound, UnknownPayloadKey when a job is named; without one, a job that cannot be read is a `left-out`.
 */
export async function* trace(
  client: Client,
  taskQueue: string,
  user: string,
  options: TraceOptions = {},
): AsyncGenerator<TraceEvent> {
  const { jobId } = options;
  const silent = new Map<string, string>();
  if (jobId !== undefined) {
    yield* traceJob(client, user, jobId, options, silent);
    return;
  }
  const jobs = (await listJobs(client, { taskQueue })).filter((job) => job.workflowId === jobWorkflowId(job.jobId));
  jobs.sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
  for (const job of jobs.slice(0, MOST_JOBS)) {
    try {
      yield* onlyIfKnown(traceJob(client, user, job.jobId, options, silent));
    } catch (error) {
      if (!(error instanceof UnknownPayloadKey) && !(error instanceof JobNotFound)) throw error;
      yield leftOut(job.jobId, error instanceof JobNotFound ? 'It no longer exists.' : error.message);
    }
  }
  for (const job of jobs.slice(MOST_JOBS))
    yield leftOut(job.jobId, `Only the ${MOST_JOBS} jobs begun last are looked into. Name this one to look into it.`);
}

async function* traceJob(
  client: Client,
  user: string,
  jobId: string,
  { since, onProgress }: TraceOptions,
  silent: Map<string, string>,
): AsyncGenerator<TraceEvent> {
  const sinceMs = since?.getTime() ?? -Infinity;
  const letters = await waitingLetters(client, jobId, user);
  const unreadable = { count: 0 };
  const person = new PersonTrace(jobId, user);
  const said = factsOf(client, jobId, sinceMs, onProgress);
  const traced = inTimeOrder(pick(said, person, unreadable), ({ at }) => at);
  for await (const event of traced) {
    if (event.kind === 'died') letters.delete(event.deadLetterId);
    if (Date.parse(event.at) >= sinceMs) yield event.kind === 'died' ? await settled(client, event) : event;
  }
  // They wait longer than a history may be kept.
  yield* letters.values();
  if (unreadable.count > 0)
    yield leftOut(jobId, `${unreadable.count} signals to it are encrypted with a key that is not here.`);
  yield await standingOf(client, jobId, user, silent);
}

/** The facts of all runs of the job, except those that ended too long ago. */
async function* factsOf(
  client: Client,
  jobId: string,
  sinceMs: number,
  onProgress: TraceOptions['onProgress'],
): AsyncGenerator<JobFact> {
  const all = await runsOf(client, jobId);
  const runs = all.filter(({ closedAtMs }) => closedAtMs === undefined || closedAtMs >= sinceMs);
  const ids = runs.map(({ runId }) => runId);
  let facts = 0;
  for (const [index, runId] of ids.entries()) {
    onProgress?.({ jobId, runs: index, ofRuns: ids.length, facts });
    try {
      for await (const fact of runFacts(client, jobWorkflowId(jobId), runId)) {
        if (++facts % PROGRESS_EVERY === 0) onProgress?.({ jobId, runs: index, ofRuns: ids.length, facts });
        // The job continued as new while it was read: the list did not have that run yet.
        const next = fact.kind === 'closed' ? fact.nextRunId : undefined;
        if (next !== undefined && index === ids.length - 1 && !ids.includes(next)) ids.push(next);
        yield fact;
      }
    } catch (error) {
      // Its retention ended between the list and now.
      if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
    }
  }
}

const PROGRESS_EVERY = 500;

async function* pick(
  facts: AsyncIterable<JobFact>,
  person: PersonTrace,
  unreadable: { count: number },
): AsyncGenerator<Traced> {
  for await (const fact of facts) {
    if (fact.kind === 'unreadable') unreadable.count++;
    yield* person.take(fact);
  }
}

/** The events of a job, as soon as one of them shows that the job knows the person; none if it does not. */
async function* onlyIfKnown(events: AsyncIterable<TraceEvent>): AsyncGenerator<TraceEvent> {
  const unsure: TraceEvent[] = [];
  let isKnown = false;
  for await (const event of events) {
    isKnown ||= knowsPerson(event);
    if (!isKnown) unsure.push(event);
    else yield* [...unsure.splice(0), event];
  }
}

/** This job's dead letters for the person that are waiting for a decision, by id, oldest first. */
async function waitingLetters(client: Client, jobId: string, user: string): Promise<Map<string, TriggerDied>> {
  const found: TriggerDied[] = [];
  for await (const letter of new DeadLetters(client).list({ jobId, user })) {
    const { id, event, audience, at, failure, attempts, diedAt, notice } = letter;
    found.push({
      kind: 'died',
      jobId,
      at: diedAt,
      deadLetterId: id,
      event: event === 'exit' ? 'exit' : 'enter',
      audience,
      triggerAt: at,
      failure,
      attempts,
      state: 'waiting',
      ...(notice === undefined ? {} : { notice }),
    });
  }
  return new Map(found.reverse().map((letter) => [letter.deadLetterId, letter]));
}

/** A dead letter with how it stands now; no worker is needed to know it. */
async function settled(client: Client, died: Extract<Traced, { kind: 'died' }>): Promise<TriggerDied> {
  const handle = client.workflow.getHandle(`dead-letter-${died.deadLetterId}`);
  try {
    const found = await handle.describe();
    // It may have been ended from outside, in the Temporal UI say: then it has no result.
    if (found.status.name === 'COMPLETED') return { ...died, state: (await handle.result()) as DeadLetterEnd }; // Our own workflow's result.
    if (!isOpen(found)) return { ...died, state: 'terminated' };
    const notice = found.memo?.['notice'];
    return { ...died, state: 'waiting', ...(typeof notice === 'string' && notice !== '' ? { notice } : {}) };
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return { ...died, state: 'gone' };
    throw error;
  }
}

function leftOut(jobId: string, reason: string): TraceLeftOut {
  return { kind: 'left-out', jobId, at: instantOf(Date.now()), reason };
}
