import type { ActivateInput, Next, WorkflowInterceptors, WorkflowInternalsInterceptor } from '@temporalio/workflow';
import { ENDED_RUN, EVENTS_AHEAD } from './messages.ts';

/**
 * Refuses a query that would let a run go ahead of its workflow tasks.
 *
 * With a query, a worker without the run gets its whole history. Some events may be newer than the last task. The SDK (1.24) hands these to
 * the workflow with the time at which that task began. The run decides by the old clock, and keeps the decision for its next task. A replay
 * decides by the true time, and fails for good. This error makes the worker forget the run instead. A run that has ended has no next task.
 */
class QueryGuard implements WorkflowInternalsInterceptor {
  /** When the last task began, and how many events there were. */
  #began = '';
  #events = 0;
  #isAhead = false;

  activate(input: ActivateInput, next: Next<WorkflowInternalsInterceptor, 'activate'>): void {
    const { isReplaying, timestamp, historyLength, jobs } = input.activation;
    // A query comes by itself.
    const query = jobs?.[0]?.queryWorkflow;
    if (query == null) {
      const began = `${timestamp?.seconds?.toString()}.${timestamp?.nanos}`;
      const events = historyLength ?? 0;
      if (isReplaying !== true && began === this.#began && events > this.#events) this.#isAhead = true;
      [this.#began, this.#events] = [began, events];
    } else if (query.queryType?.endsWith(ENDED_RUN)) query.queryType = query.queryType.slice(0, -ENDED_RUN.length);
    else if (this.#isAhead) throw new Error(EVENTS_AHEAD);
    next(input);
  }
}

/** Temporal's SDK looks for this name, and calls it for each run of a workflow. */
export const interceptors = (): WorkflowInterceptors => ({ internals: [new QueryGuard()] });
