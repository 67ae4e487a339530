import type { Client } from '@temporalio/client';
import type { JobFact, PersonDropped, TriggerDiscarded, WaitingTrigger } from '../../contract/trace.ts';
import { waitingTrigger } from '../../domain/job/describing.ts';
import { jobWorkflowId } from '../../domain/names.ts';
import { isDiscarding } from '../../domain/person-trace.ts';
import { personQuery } from '../../workflows/messages.ts';
import { ask } from '../asking.ts';
import { NoWorker } from '../errors.ts';
import { holderContents, MOST_HOLDERS } from './holder-contents.ts';

/** A run of a job, and whose triggers are asked about. */
export interface AskedRun {
  readonly jobId: string;
  readonly runId: string;
  readonly user: string;
  readonly taskQueue: string;
}

/** What a run dropped of a person's. */
interface DroppedTriggers {
  readonly events: readonly TriggerDiscarded[];
  /** What of it is not known, and why, in words. */
  readonly notices: readonly string[];
}

/** Whether a fact says that its run may have dropped what waited. */
export function mayDiscard(fact: JobFact): boolean {
  if (fact.kind === 'began') return isDiscarding(fact.given[0]);
  return fact.kind === 'stop-asked' && fact.waiting === 'discard';
}

/**
 * What a run dropped of a person's triggers because the job was stopped with `discard`. Its history does not say that: the run is asked, also
 * once it has ended, and a worker replays it.
 *
 * @param silent task queues on which nobody answered, with the text that says so: none is waited for twice.
 */
export async function droppedBy(
  client: Client,
  { jobId, runId, user, taskQueue }: AskedRun,
  silent: Map<string, string>,
): Promise<DroppedTriggers> {
  const unknown = (why: string) => ({ events: [], notices: [`What the stop dropped is not known. ${why}`] });
  const unanswered = silent.get(taskQueue);
  if (unanswered !== undefined) return unknown(unanswered);
  try {
    const answer = await ask(client, jobWorkflowId(jobId), personQuery, { runId, args: [user] });
    // It had not begun: its history says all.
    if (answer === null) return { events: [], notices: [] };
    const { discarded, subscriptionId, audiences } = answer;
    const events: TriggerDiscarded[] = [];
    const add = (at: string, { event, audience, at: triggerAt, backfill }: WaitingTrigger): void => {
      const from = backfill === undefined ? {} : { backfill };
      events.push({ kind: 'discarded', jobId, runId, at, event, audience, triggerAt, ...from });
    };
    for (const { at, triggers, holders } of discarded ?? []) {
      for (const one of triggers) add(at, one);
      for await (const content of holderContents(client, subscriptionId, holders))
        for (const one of content.triggers) if (one.user === user) add(at, waitingTrigger(audiences, one.trigger));
    }
    return { events, notices: (discarded ?? []).flatMap(noticesOf) };
  } catch (error) {
    if (!(error instanceof NoWorker)) throw error;
    silent.set(error.taskQueue, error.message);
    return unknown(error.message);
  }
}

function noticesOf({ triggers, count, holders }: PersonDropped): string[] {
  const unlisted = count - triggers.length;
  const unlooked = holders.length - MOST_HOLDERS;
  return [
    ...(unlisted > 0 ? [`${unlisted} more triggers were dropped, and are not listed.`] : []),
    ...(unlooked > 0 ? [`${unlooked} more holders were dropped and not looked into; they may have held more.`] : []),
  ];
}
