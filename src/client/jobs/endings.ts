import type { Client } from '@temporalio/client';
import type { LoggedDeed } from '../../contract/audit.ts';
import { newestFirst } from '../../words/audit.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { instantOf } from '../../domain/instant.ts';
import { definedOf } from '../../domain/json.ts';
import { EXPORT_JOB, JOB_ID_PATTERN, jobIdOf, jobWorkflowId } from '../../domain/names.ts';
import { MOST_WHO } from '../../domain/requests.ts';
import { shownText } from '../../domain/mask-url.ts';
import { clientForLists, endedAs } from '../calls/executions.ts';
import type { ListedRun } from './job-list.ts';
import { GRPC, grpcCode } from '../calls/server-errors.ts';

/** Most ends that are read, and how many at once. */
const MOST = 100;
const AT_ONCE = 8;

/** Which ends are wanted. Everything must hold. */
interface EndsFilter {
  readonly jobId?: string | undefined;
  /** Only of these jobs; absent: of all. */
  readonly onlyJobs?: readonly string[] | undefined;
  /** RFC 3339, inclusive. */
  readonly since?: string | undefined;
  /** RFC 3339, exclusive. */
  readonly until?: string | undefined;
}

/**
 * Returns the ends of jobs that nobody asked a job for, newest first: by the `temporal` command line or the Temporal UI, by a reset, by a limit of the
 * server. The job itself does not learn of them. The server knows the last ones, for the retention of its namespace.
 */
export async function endings(
  client: Client,
  taskQueue: string,
  { jobId, onlyJobs, since, until }: EndsFilter,
): Promise<LoggedDeed[]> {
  if (jobId !== undefined && !JOB_ID_PATTERN.test(jobId)) return [];
  const query = [
    `WorkflowType = '${EXPORT_JOB}' AND ExecutionStatus IN ('Terminated', 'Canceled', 'TimedOut')`,
    ...(jobId === undefined ? [] : [`WorkflowId = '${jobWorkflowId(jobId)}'`]),
    ...(since === undefined ? [] : [`CloseTime >= '${since}'`]),
    ...(until === undefined ? [] : [`CloseTime < '${until}'`]),
  ].join(' AND ');
  const runs: ListedRun[] = [];
  for await (const run of clientForLists(client).workflow.list({ query })) {
    const isMeant = onlyJobs?.includes(jobIdOf(run.workflowId)) ?? true;
    if (run.taskQueue === taskQueue && isMeant && runs.push(run) === MOST) break;
  }
  const found: LoggedDeed[] = [];
  await forEachLimit(runs, AT_ONCE, async (run) => void found.push(await endOf(client, run)));
  return newestFirst(found);
}

async function endOf(client: Client, { workflowId, runId, status, closeTime }: ListedRun): Promise<LoggedDeed> {
  const { namespace } = client.options;
  const last = { namespace, execution: { workflowId, runId }, maximumPageSize: 1 };
  const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse(last).catch((error: unknown) => {
    if (grpcCode(error) !== GRPC.NOT_FOUND) throw error;
    return { history: null };
  });
  const { identity, reason } = history?.events?.[0]?.workflowExecutionTerminatedEventAttributes ?? {};
  const [target, at] = [jobIdOf(workflowId), instantOf(closeTime?.getTime() ?? 0)];
  const why = [endedAs(status.name), ...(reason ? [shownText(reason)] : [])].join(': ');
  const who = identity ? identity.slice(0, MOST_WHO).toWellFormed() : undefined;
  return {
    at,
    kind: 'job',
    target,
    jobId: target,
    action: 'end',
    door: 'temporal',
    reason: why,
    ...definedOf({ who }),
  };
}
