import type { JobFact } from '../../client/calls/job-fact.ts';
import type { PersonAnswer, PersonOverflow, PersonStanding, WaitingTrigger } from '../../contract/person-standing.ts';
import type { Client } from '@temporalio/client';
import type { DeadLetterEnd } from '../../contract/dead-letter.ts';
import type { AttemptLog, PersonStands, TraceEvent, TraceLeftOut, TriggerDied } from './events.ts';
import { NewerState } from '../../domain/errors.ts';
import { instantOf } from '../../domain/instant.ts';
import { LISTED_WAITING, waitingTrigger } from '../../domain/job/describing.ts';
import { deadLetterWorkflowId, holderWorkflowId, jobIdOf, jobWorkflowId } from '../../domain/names.ts';
import { knowsPerson, PersonTrace, type Traced } from './person-trace.ts';
import { UnknownPayloadKey } from '../../temporal/encrypting-codec.ts';
import { personQuery } from '../../workflows/messages.ts';
import { ask } from '../../client/calls/asking.ts';
import { DeadLetters } from '../../client/dead-letters.ts';
import { JobNotFound, NoWorker, WorkerFailed } from '../../client/calls/errors.ts';
import { endedAs, isOpen, isStopped } from '../../client/calls/executions.ts';
import { type ListedRun, newestRuns } from '../../client/jobs/job-list.ts';
import { describeExecution } from '../../client/jobs/job-service.ts';
import { GRPC, grpcCode, isShapeFault } from '../../client/calls/server-errors.ts';
import { type JobRunTimes, runsOf } from '../../client/jobs/attempts.ts';
import { runFacts } from '../../client/calls/events.ts';
import type { PackedTriggers } from '../../contract/holder.ts';
import { type PersonTrigger, unpackTriggers } from '../../domain/job/queue/chain.ts';
import { definedOf, isRecord } from '../../domain/json.ts';
import { TemporalSideWorkflows } from '../../client/calls/side-workflows.ts';

/** Enough for events that a history records late because the workflow was busy. */
const WINDOW = 1_000;

/** Yields the same items in order of time, provided that none is more than a thousand places out of order. */
export async function* inTimeOrder<T>(events: AsyncIterable<T>, timeOf: (event: T) => string): AsyncGenerator<T> {
  const held: T[] = [];
  for await (const event of events) {
    let place = held.length;
    while (place > 0 && timeOf(held[place - 1] as T) > timeOf(event)) place--; // It is there: 0 <= place - 1 < length.
    held.splice(place, 0, event);
    if (held.length > WINDOW) yield* held.splice(0, 1);
  }
  yield* held;
}

/**
 * Returns the present state of a person's triggers in a job, including triggers in its holders.
 *
 * @param silent task queues without an answer, with the text that says so: none is waited for twice.
 * @param listed its last run as a list has it, which spares a request
 */
export async function standingOf(
  client: Client,
  jobId: string,
  user: string,
  silent: Map<string, string>,
  listed?: ListedRun,
): Promise<PersonStands> {
  const now = instantOf(Date.now());
  try {
    const found = listed ?? (await describeExecution(client, jobId).catch(goneJob));
    const unanswered = found === undefined ? undefined : silent.get(found.taskQueue);
    if (unanswered !== undefined) return { kind: 'stands', jobId, at: now, notice: unanswered };
    const answer = await ownAnswer(client, jobWorkflowId(jobId), user, found);
    if (answer === null) return { kind: 'stands', jobId, at: now, notice: 'The job has not begun yet.' };
    return { kind: 'stands', jobId, at: now, ...(await withHolders(client, user, answer)) };
  } catch (error) {
    if (!(error instanceof NoWorker || error instanceof WorkerFailed)) throw error;
    // A job whose own tasks fail says nothing of its queue.
    if (error instanceof NoWorker && error.taskFailure === undefined) silent.set(error.taskQueue, error.message);
    return { kind: 'stands', jobId, at: now, notice: error.message };
  }
}

/** The answer of the job itself; null before it has a state. */
async function ownAnswer(
  client: Client,
  workflowId: string,
  user: string,
  found: ListedRun | undefined,
): Promise<PersonAnswer | null> {
  // It ended normally and kept nothing.
  if (found === undefined || found.status.name === 'COMPLETED') return NOTHING_WAITS;
  const answer = await ask(client, workflowId, personQuery, { args: [user], run: found });
  if (isStopped(found))
    return (
      answer && { ...answer, reason: 'It was stopped, and keeps its waiting triggers. Resume the job to send them.' }
    );
  if (isOpen(found)) return answer;
  const state = endedAs(found.status.name);
  const how = `Its workflow did not end normally: ${state}.`;
  return answer && { ...ended(answer), state, reason: `${how} Recover the job to send what waits.` };
}

const NOTHING_WAITS: PersonAnswer = {
  v: 1,
  state: 'stopped',
  subscriptionId: '',
  audiences: [],
  waits: {},
  waiting: [],
  waitingCount: 0,
  pendingDeadLetters: 0,
  inPages: false,
};

/** Returns the answer of a job that has ended: it waits for none of these. */
function ended(answer: PersonAnswer): PersonAnswer {
  const { endpoint: _, endsAt: _end, ...rest } = answer;
  return { ...rest, waits: {} };
}

/** A job is gone only when the server has forgotten all of it. */
function goneJob(error: unknown): undefined {
  if (!(error instanceof JobNotFound)) throw error;
}

/** Adds what is waiting in holders, which the job itself does not know by person. A holder's content never changes, so it fits the job's answer. */
async function withHolders(
  client: Client,
  user: string,
  answer: PersonAnswer,
): Promise<Pick<PersonStands, 'standing' | 'notice'>> {
  const { v: _, subscriptionId, audiences, overflow, ...standing } = answer;
  const names = overflowNames(overflow);
  const found: WaitingTrigger[] = [];
  let count = 0;
  for await (const { name, triggers } of holderContents(client, subscriptionId, names)) {
    const own = triggers.filter((waiting) => waiting.user === user);
    count += own.length;
    found.push(...own.slice(0, LISTED_WAITING).map(({ trigger }) => waitingTrigger(audiences, trigger, name)));
  }
  const waiting = inOrder(standing, overflow?.waiting ?? [], found);
  const unlooked = Math.max(0, names.length - MOST_HOLDERS);
  return {
    standing: { ...standing, waiting, waitingCount: standing.waitingCount + count },
    ...(unlooked === 0 ? {} : { notice: `${unlooked} more holders were not looked into; more may wait there.` }),
  };
}

function overflowNames(overflow: PersonOverflow | undefined): string[] {
  if (overflow === undefined) return [];
  const { first, next, notYet } = overflow;
  const numbers = Array.from({ length: next - first }, (_, index) => first + index);
  return numbers.filter((number) => !notYet.includes(number)).map(String);
}

/** Orders by age: the job's own, holders by number, and triggers that are not yet on their way to a holder. */
function inOrder(
  { waiting }: PersonStanding,
  overflow: readonly WaitingTrigger[],
  found: readonly WaitingTrigger[],
): WaitingTrigger[] {
  const inHolders = [...found, ...overflow.filter(({ holder }) => holder !== undefined)];
  return [
    ...waiting,
    ...inHolders.sort((a, b) => Number(a.holder) - Number(b.holder)),
    ...overflow.filter(({ holder }) => holder === undefined),
  ];
}

/** Most jobs that a trace without a job reads, those begun last first. */
export const MOST_JOBS = 100;

export interface TraceOptions {
  /** Absent: all jobs of the task queue that the server still knows, at most 100, those begun last first. */
  readonly jobId?: string;
  /** Only these of all jobs, by id. */
  readonly onlyJobs?: readonly string[];
  /** When it is aborted, nothing further is read, and a `left-out` for each job that was not read to its end says so. */
  readonly signal?: AbortSignal;
  /** Reports nothing before then, and reads no run that ended before. Waiting triggers are still reported. */
  readonly since?: Date;
  readonly onProgress?: (progress: TraceProgress) => void;
  /**
   * Reads attempts here, and no history. Left out are then what was signalled, decisions without an attempt, and dead letters that were decided. Only the
   * last 1,000 attempts are told.
   */
  readonly log?: AttemptLog | undefined;
}

/**
 * Yields all that is known about a person, job by job and in order of time: signals, each attempt with its answer, dead letters, and at the end what is
 * waiting and why. It comes from the histories that the server still keeps, read a page at a time. Unless a job is named, only jobs that know the person are
 * reported.
 *
 * @throws JobNotFound, UnknownPayloadKey, NewerState when a job is named; without one, any job that cannot be read is a `left-out`.
 */
export async function* trace(
  client: Client,
  taskQueue: string,
  user: string,
  options: TraceOptions = {},
): AsyncGenerator<TraceEvent> {
  const { jobId, onlyJobs, signal } = options;
  const silent = new Map<string, string>();
  const jobIds = jobId === undefined ? [...(await jobsOf(client, taskQueue, onlyJobs)).keys()] : [jobId];
  for (const id of jobIds.slice(0, MOST_JOBS)) {
    if (jobId === undefined && signal?.aborted === true) {
      yield leftOut(id, OUT_OF_TIME);
      continue;
    }
    const events = traceJob(client, taskQueue, user, id, options, silent);
    try {
      yield* jobId === undefined ? onlyIfKnown(events) : events;
    } catch (error) {
      yield leftOut(id, whyUnread(error, jobId !== undefined));
    }
  }
  for (const id of jobIds.slice(MOST_JOBS)) yield leftOut(id, BEYOND_MOST);
}

/**
 * Returns why one job could not be read, when that says nothing of the others: anybody who reaches the server can put anything into a job's history.
 * @throws the error itself, when it is about the server, or about a job that somebody named
 */
export function whyUnread(error: unknown, isNamed: boolean): string {
  if (error instanceof JobNotFound && !isNamed) return 'It no longer exists.';
  if (isShapeFault(error)) return `It has something in its history that no job of ours writes (${error.name}).`;
  const isOfOne = UNREAD.some((one) => error instanceof one);
  if (isNamed || !isOfOne || !(error instanceof Error)) throw error;
  return error.message;
}
const UNREAD = [UnknownPayloadKey, NewerState, NoWorker, WorkerFailed];

/** The last run of each job of a task queue by its job's id, those begun last first. */
export async function jobsOf(
  client: Client,
  taskQueue: string,
  only?: readonly string[],
): Promise<Map<string, ListedRun>> {
  const runs = (await newestRuns(client, { taskQueue })).sort((a, b) => b.startTime.getTime() - a.startTime.getTime());
  const jobs = runs.map((run) => [jobIdOf(run.workflowId), run] as const);
  // A job under a foreign workflow id cannot be reached by its id.
  return new Map(
    jobs.filter(([jobId, run]) => run.workflowId === jobWorkflowId(jobId) && (only?.includes(jobId) ?? true)),
  );
}

async function* traceJob(
  client: Client,
  taskQueue: string,
  user: string,
  jobId: string,
  { since, onProgress, signal }: TraceOptions,
  silent: Map<string, string>,
): AsyncGenerator<TraceEvent> {
  const sinceMs = since?.getTime() ?? -Infinity;
  const letters = await lettersOf(client, taskQueue, jobId, user);
  const unreadable = { count: 0 };
  const person = new PersonTrace(jobId, user);
  const facts = personFacts(client, jobId, await runsOf(client, jobId), { user, sinceMs, onProgress, signal });
  const traced = inTimeOrder(pick(facts, person, unreadable), ({ at }) => at);
  for await (const event of traced) {
    if (event.kind === 'died') letters.delete(event.deadLetterId);
    if (Date.parse(event.at) >= sinceMs) yield event.kind === 'died' ? await settled(client, event) : event;
  }
  // They wait longer than a history may be kept.
  yield* [...letters.values()].filter(({ state }) => state === 'waiting');
  if (signal?.aborted === true) yield leftOut(jobId, OUT_OF_TIME);
  if (unreadable.count > 0)
    yield leftOut(jobId, `${unreadable.count} signals to it are encrypted with a key that is not here.`);
  yield await standingOf(client, jobId, user, silent);
}

/** Why a job was not looked into. */
export const BEYOND_MOST = `Only the ${MOST_JOBS} jobs begun last are looked into. Name this one to look into it.`;
/** Why a job was not read to its end. */
const OUT_OF_TIME = 'There was no time to read it to its end. Name this job, or a shorter time, to look into it.';

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

/**
 * Yields the events of a job if one of them shows that the job knows the person. Also if the job may know them, since it was not read to its end; else none.
 */
async function* onlyIfKnown(events: AsyncIterable<TraceEvent>): AsyncGenerator<TraceEvent> {
  const unsure: TraceEvent[] = [];
  let isKnown = false;
  for await (const event of events) {
    isKnown ||= knowsPerson(event) || (event.kind === 'left-out' && event.reason === OUT_OF_TIME);
    if (!isKnown) unsure.push(event);
    else yield* [...unsure.splice(0), event];
  }
}

/**
 * Returns the person's dead letters, of this job or of all, by id, oldest first: those that wait for a decision, and those whose workflows somebody ended in
 * Temporal.
 * @param onUnread takes the error if some of this task queue could not be read
 */
export async function lettersOf(
  client: Client,
  taskQueue: string,
  jobId: string | undefined,
  user: string,
  onUnread = (error: unknown): void => {
    throw error;
  },
): Promise<Map<string, TriggerDied>> {
  const found: TriggerDied[] = [];
  try {
    for await (const [letter, state] of new DeadLetters(() => client, taskQueue).undecided({ jobId, user })) {
      const { id, audience, failure, attempts, notice } = letter;
      found.push({
        kind: 'died',
        jobId: letter.jobId,
        at: letter.diedAt,
        deadLetterId: id,
        event: letter.event === 'exit' ? 'exit' : 'enter',
        audience,
        triggerAt: letter.at,
        failure,
        attempts,
        state,
        ...definedOf({ notice }),
      });
    }
  } catch (error) {
    onUnread(error);
  }
  return new Map(found.reverse().map((letter) => [letter.deadLetterId, letter]));
}

/** Returns a dead letter with its present state, which needs no worker. */
async function settled(client: Client, died: Extract<Traced, { kind: 'died' }>): Promise<TriggerDied> {
  const handle = client.workflow.getHandle(deadLetterWorkflowId(died.deadLetterId));
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

export function leftOut(jobId: string, reason: string): TraceLeftOut {
  return { kind: 'left-out', jobId, at: instantOf(Date.now()), reason };
}

export interface TraceProgress {
  readonly jobId: string;
  /** Runs of the job that have been read, of how many. */
  readonly runs: number;
  readonly ofRuns: number;
  /** Facts read of this job so far. */
  readonly facts: number;
}

interface PersonReading {
  readonly user: string;
  /** Runs that ended before are not read. */
  readonly sinceMs: number;
  readonly onProgress: ((progress: TraceProgress) => void) | undefined;
  /** When it is aborted, nothing further is read. */
  readonly signal: AbortSignal | undefined;
}

/**
 * The facts of a job that may be about a person, oldest first.
 *
 * @param runs of the job, oldest first. A missing run is found through the one before it, unless it is the first.
 */
export async function* personFacts(
  client: Client,
  jobId: string,
  runs: readonly JobRunTimes[],
  { user, sinceMs, onProgress, signal }: PersonReading,
): AsyncGenerator<JobFact> {
  const ids = runs.filter(({ closedAtMs = Infinity }) => closedAtMs >= sinceMs).map(({ runId }) => runId);
  const isAborted = (): boolean => signal?.aborted === true;
  let facts = 0;
  // More may come while it is read.
  for (const [index, runId] of ids.entries()) {
    const tell = (): void => onProgress?.({ jobId, runs: index, ofRuns: ids.length, facts });
    tell();
    if (isAborted()) return;
    try {
      for await (const fact of runFacts(client, jobWorkflowId(jobId), runId, { about: user })) {
        if (isAborted()) return;
        if (++facts % PROGRESS_EVERY === 0) tell();
        // The list lags behind: it did not have that run yet.
        const next = fact.kind === 'closed' ? fact.nextRunId : undefined;
        if (next !== undefined && !ids.includes(next)) ids.splice(index + 1, 0, next);
        yield fact;
      }
    } catch (error) {
      // Its retention ended between the list and now.
      if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
    }
  }
}

const PROGRESS_EVERY = 500;

/** How many holders are read for one person at most. */
const MOST_HOLDERS = 1_000;
const AT_ONCE = 8;

export interface HolderContent {
  /** Its name in the job. */
  readonly name: string;
  readonly triggers: readonly PersonTrigger[];
}

/** Yields the triggers in holders of a job, also in ended ones, in the order of the given names. Holders beyond `MOST_HOLDERS` are not read. */
async function* holderContents(
  client: Client,
  subscriptionId: string,
  names: readonly string[],
): AsyncGenerator<HolderContent> {
  const most = names.slice(0, MOST_HOLDERS);
  for (let from = 0; from < most.length; from += AT_ONCE) {
    const read = most.slice(from, from + AT_ONCE).map(async (name) => ({
      name,
      triggers: await contentOf(client, holderWorkflowId(subscriptionId, name)),
    }));
    yield* await Promise.all(read);
  }
}

/** Empty for a holder that the server does not know, and for content that no job of ours put there. @throws UnknownPayloadKey */
async function contentOf(client: Client, workflowId: string): Promise<PersonTrigger[]> {
  try {
    const content = await new TemporalSideWorkflows(client, '').inputOf(workflowId);
    return isRecord(content) ? unpackTriggers(content as unknown as PackedTriggers) : []; // Anything else throws.
  } catch (error) {
    if (error instanceof UnknownPayloadKey || grpcCode(error) !== undefined) throw error;
    return [];
  }
}
