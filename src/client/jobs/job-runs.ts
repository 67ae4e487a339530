import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { EXPORT_JOB } from '../../domain/names.ts';
import { clientForLists } from '../client-for-lists.ts';
import { describeOpen, isOpen } from '../executions.ts';

/** A run as the server lists or describes it. */
export type ListedRun = Omit<WorkflowExecutionInfo, 'raw'>;

/**
 * How long ago, in ms, a run may have ended that the server lists while it does not list the next one yet: mostly for some milliseconds, but
 * as long as its search attributes take to be indexed. Longer, since its clock may not be ours.
 */
const BETWEEN_RUNS_MS = 30_000;

/** Names that a query finds. Of others it depends on the server's database: with SQL, none finds a name that has a quote or a backslash. */
const PLAIN = /^[\w .:@/+-]+$/;

const LOOKS_AT_ONCE = 16;

/**
 * The last runs of jobs that the server still knows, also those of jobs that it does not list, since they have just begun another run: whoever
 * is told of all jobs is told of them. Of a job that was started anew, those of its earlier lives are among them.
 *
 * @param which.areRunning only those that run.
 * @param which.taskQueue only those of this one.
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
  const rest = [...continued].filter((workflowId) => !open.has(workflowId)).values();
  const found: ListedRun[] = [];
  const lane = async () => {
    for (const workflowId of rest) {
      const run = await describeOpen(lenient, workflowId);
      if (run !== undefined) found.push(run);
    }
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, lane));
  yield* found;
}
