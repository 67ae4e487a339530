import type { Client } from '@temporalio/client';
import { backfillWorkflowId, jobWorkflowId } from '../src/domain/names.ts';

/** What a job cost Temporal, over all its runs and its backfill's. */
export interface TemporalCost {
  readonly events: number;
  /**
   * Billable actions as Temporal Cloud counts them (docs.temporal.io/cloud/actions), as far as histories show them: heartbeats, one a
   * second and running slice, are not in there.
   */
  readonly actions: number;
  /** Of the run that has most. */
  readonly longestRunEvents: number;
}

export async function costOf(client: Client, jobId: string): Promise<TemporalCost> {
  const ids = [jobWorkflowId(jobId), backfillWorkflowId(jobWorkflowId(jobId), 1)];
  let events = 0;
  let actions = 0;
  let longestRunEvents = 0;
  for (const id of ids) {
    for await (const { workflowId, runId } of client.workflow.list({ query: `WorkflowId = '${id}'` })) {
      const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
      longestRunEvents = Math.max(longestRunEvents, history.events?.length ?? 0);
      for (const event of history.events ?? []) {
        events++;
        actions += actionsOf(event);
      }
    }
  }
  return { events, actions, longestRunEvents };
}

type HistoryEvent = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']
>[number];

function actionsOf(event: HistoryEvent): number {
  // A child's start is two: this one, and its own WorkflowExecutionStarted.
  const isOne =
    event.workflowExecutionStartedEventAttributes ??
    event.workflowExecutionSignaledEventAttributes ??
    event.workflowExecutionUpdateAcceptedEventAttributes ??
    event.activityTaskStartedEventAttributes ??
    event.timerStartedEventAttributes ??
    event.startChildWorkflowExecutionInitiatedEventAttributes ??
    event.signalExternalWorkflowExecutionInitiatedEventAttributes ??
    event.upsertWorkflowSearchAttributesEventAttributes;
  return isOne === undefined || isOne === null ? 0 : (event.activityTaskStartedEventAttributes?.attempt ?? 1);
}
