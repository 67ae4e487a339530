import type { ActivateInput, Next, WorkflowInterceptors, WorkflowInternalsInterceptor } from '@temporalio/workflow';
import { EVENTS_AHEAD } from '../../domain/errors.ts';
import { ENDED_RUN } from '../../workflows/messages.ts';

/** The SDK's id of a query that came without a task. Only such a query can come too early. */
const WITHOUT_TASK = 'legacy_query';

/**
 * Refuses a query that would let a run go ahead of its workflow tasks.
 *
 * With a query, a worker without the run gets its whole history. Some events may be newer than the last finished task. The SDK (1.24) hands
 * these to the workflow with the time at which some task began: the last one, or one that a dead worker never finished. The run decides by
 * that clock, and keeps the decision for its next task. A replay decides by the true time, and fails for good. This error makes the worker
 * forget the run instead. A run that has ended has no next task.
 *
 * A worker that begins with a task sees the same as one whose query came with an unfinished task. It too refuses the first query, if no other
 * task comes between. Then it reads the run anew, and answers.
 */
class QueryGuard implements WorkflowInternalsInterceptor {
  /** When the last task began, and how many events there were. */
  #began = '';
  #events = 0;
  /** Whether it has only replayed since it was asked last. */
  #isReplayed = false;
  #isAhead = false;

  activate(input: ActivateInput, next: Next<WorkflowInternalsInterceptor, 'activate'>): void {
    const { isReplaying, timestamp, historyLength, jobs } = input.activation;
    // A query comes by itself.
    const query = jobs?.[0]?.queryWorkflow;
    if (query == null) {
      const began = `${timestamp?.seconds?.toString()}.${timestamp?.nanos}`;
      const events = historyLength ?? 0;
      if (events > this.#events) {
        this.#isAhead = isReplaying !== true && (this.#isReplayed || began === this.#began);
        this.#isReplayed = isReplaying === true;
      }
      [this.#began, this.#events] = [began, events];
    } else {
      if (query.queryId !== WITHOUT_TASK) this.#isAhead = false;
      if (query.queryType?.endsWith(ENDED_RUN)) query.queryType = query.queryType.slice(0, -ENDED_RUN.length);
      else if (this.#isAhead) throw new Error(EVENTS_AHEAD);
      this.#isReplayed = false;
    }
    next(input);
  }
}

/** Temporal's SDK looks for this name, and calls it for each run of a workflow. */
export const interceptors = (): WorkflowInterceptors => ({ internals: [new QueryGuard()] });
