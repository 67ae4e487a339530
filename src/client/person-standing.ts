import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import type { PackedTriggers } from '../contract/holder.ts';
import type { PersonAnswer, PersonOverflow, PersonStanding, PersonStands, WaitingTrigger } from '../contract/trace.ts';
import { isCarriedJob } from '../domain/dispatcher/carried.ts';
import { describePerson, LISTED_WAITING, waitingTrigger } from '../domain/dispatcher/describing-person.ts';
import { restoreJob } from '../domain/dispatcher/job-state.ts';
import { unpackTriggers } from '../domain/dispatcher/packed.ts';
import { instantOf } from '../domain/instant.ts';
import { isRecord } from '../domain/json.ts';
import { holderWorkflowId, jobWorkflowId, keptWorkflowId } from '../domain/names.ts';
import { TemporalSideWorkflows } from '../temporal-side-workflows.ts';
import { personQuery } from '../workflows/messages.ts';
import { JobNotFound, NoWorker } from './errors.ts';
import { ask, describeJob, describeOpen, endedAs, isOpen } from './job-service.ts';
import { GRPC, grpcCode } from './server-errors.ts';

/** How many holders are read for one person at most. */
export const MOST_HOLDERS = 1_000;
const AT_ONCE = 8;

/**
 * How a person's triggers stand in a job now, including those in its holders; for a stopped job, in what it kept.
 *
 * @param silent task queues on which nobody answered, with the text that says so: none is waited for twice.
 */
export async function standingOf(
  client: Client,
  jobId: string,
  user: string,
  silent: Map<string, string>,
): Promise<PersonStands> {
  const now = instantOf(Date.now());
  try {
    const found = await describeJob(client, jobId).catch(goneJob);
    const unanswered = found === undefined ? undefined : silent.get(found.taskQueue);
    if (unanswered !== undefined) return { kind: 'stands', jobId, at: now, notice: unanswered };
    const answer = await ownAnswer(client, jobId, user, found);
    if (answer === null) return { kind: 'stands', jobId, at: now, notice: 'The job has not begun yet.' };
    return { kind: 'stands', jobId, at: now, ...(await withHolders(client, user, answer)) };
  } catch (error) {
    if (error instanceof NoWorker) {
      silent.set(error.taskQueue, error.message);
      return { kind: 'stands', jobId, at: now, notice: error.message };
    }
    // A worker of an older release does not know this query.
    if (grpcCode(error) !== GRPC.INVALID_ARGUMENT) throw error;
    return { kind: 'stands', jobId, at: now, notice: 'Its worker is of an older release and cannot say what waits.' };
  }
}

/** The answer of the job itself, or of what is kept of it; null before it has a state. */
async function ownAnswer(
  client: Client,
  jobId: string,
  user: string,
  found: WorkflowExecutionDescription | undefined,
): Promise<PersonAnswer | null> {
  const workflowId = jobWorkflowId(jobId);
  if (found !== undefined && isOpen(found)) return await ask(client, workflowId, personQuery, { args: [user] });
  const kept = await describeOpen(client, keptWorkflowId(workflowId));
  if (kept !== undefined) {
    const input = await new TemporalSideWorkflows(client, kept.taskQueue).inputOf(kept.workflowId);
    const carried = isRecord(input) ? input['carried'] : undefined;
    if (isCarriedJob(carried)) {
      const answer = describePerson(restoreJob(carried), user, Date.now());
      return ended(answer, `It was stopped, and kept its waiting triggers. Resume it with: triggers resume ${jobId}`);
    }
  }
  // It ended normally and kept nothing.
  if (found === undefined || found.status.name === 'COMPLETED') return NOTHING_WAITS;
  const answer = await ask(client, workflowId, personQuery, { args: [user] });
  const how = `Its workflow did not end normally: ${endedAs(found.status.name)}.`;
  return answer && ended(answer, `${how} What waits can be recovered with: triggers recover ${jobId}`);
}

const NOTHING_WAITS: PersonAnswer = {
  v: 1,
  state: 'stopped',
  subscriptionId: '',
  audiences: [],
  waiting: [],
  waitingCount: 0,
  dying: 0,
  inPages: false,
};

/** What it was waiting for no longer applies. */
function ended(answer: PersonAnswer, reason: string): PersonAnswer {
  const { endpoint: _, throttledUntil: _throttled, ...rest } = answer;
  return { ...rest, state: 'stopped', reason };
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
  const parked = standing.chain?.parked?.holder;
  const names = [...(parked === undefined ? [] : [parked]), ...overflowNames(overflow)];
  const found: WaitingTrigger[] = [];
  let count = 0;
  for (const some of batches(names.slice(0, MOST_HOLDERS))) {
    const contents = await Promise.all(some.map((name) => contentOf(client, holderWorkflowId(subscriptionId, name))));
    for (const [index, content] of contents.entries()) {
      const name = some[index] ?? '';
      const own = content.filter((waiting) => waiting.user === user);
      if (name !== parked) count += own.length; // Parked ones are counted by the job.
      found.push(...own.slice(0, LISTED_WAITING).map(({ trigger }) => waitingTrigger(audiences, trigger, name)));
    }
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

function* batches(names: readonly string[]): Iterable<readonly string[]> {
  for (let from = 0; from < names.length; from += AT_ONCE) yield names.slice(from, from + AT_ONCE);
}

/** In order of age: what is parked, the job's own, holders by number, and what is not yet on its way to a holder. */
function inOrder(
  { waiting, chain }: PersonStanding,
  overflow: readonly WaitingTrigger[],
  found: readonly WaitingTrigger[],
): WaitingTrigger[] {
  const isParked = ({ holder }: WaitingTrigger) => holder === chain?.parked?.holder;
  const inHolders = [
    ...found.filter((one) => !isParked(one)),
    ...overflow.filter(({ holder }) => holder !== undefined),
  ];
  return [
    ...found.filter(isParked),
    ...waiting,
    ...inHolders.sort((a, b) => Number(a.holder) - Number(b.holder)),
    ...overflow.filter(({ holder }) => holder === undefined),
  ];
}

/** Empty for a holder that the server does not know, and for content that no job of ours put there. */
async function contentOf(client: Client, workflowId: string) {
  const content = await new TemporalSideWorkflows(client, '').inputOf(workflowId);
  try {
    return isRecord(content) ? unpackTriggers(content as unknown as PackedTriggers) : []; // What is none throws.
  } catch {
    return [];
  }
}
