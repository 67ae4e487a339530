import type { Client } from '@temporalio/client';
import type { ExportJobs } from '../src/app/export-jobs.ts';
import { jobWorkflowId } from '../src/domain/names.ts';
import type { Fleet } from './fleet.ts';
import type { ChaosServer } from './server.ts';

/** How large things are at a moment; bytes, unless the name says otherwise. */
export interface Vitals {
  /** What the job's next run would be given. */
  readonly state: number;
  readonly stateBudget: number;
  readonly waitingTriggers: number;
  /** Of the job's present run. */
  readonly history: number;
  readonly historyEvents: number;
  /** All worker processes together. */
  readonly workers: number;
  readonly database: number;
  /** This process. */
  readonly own: number;
}

export interface VitalsOf {
  readonly jobs: ExportJobs;
  readonly client: Client;
  readonly jobId: string;
  readonly fleet: Fleet;
  readonly server: ChaosServer;
}

/** Looks at everything; undefined when the job does not answer in time. */
export async function lookAt({ jobs, client, jobId, fleet, server }: VitalsOf): Promise<Vitals | undefined> {
  try {
    const [status, description] = await Promise.all([
      jobs.status(jobId),
      client.workflow.getHandle(jobWorkflowId(jobId)).describe(),
    ]);
    return {
      state: status.stateBytes,
      stateBudget: status.stateBudgetBytes,
      waitingTriggers: status.waiting,
      history: description.historySize ?? 0,
      historyEvents: description.historyLength,
      workers: fleet.rssBytes,
      database: server.databaseBytes(),
      own: process.memoryUsage.rss(),
    };
  } catch {
    return undefined;
  }
}

/** The larger of two, of everything. */
export function peak(a: Vitals | undefined, b: Vitals): Vitals {
  if (a === undefined) return b;
  return {
    state: Math.max(a.state, b.state),
    stateBudget: Math.max(a.stateBudget, b.stateBudget),
    waitingTriggers: Math.max(a.waitingTriggers, b.waitingTriggers),
    history: Math.max(a.history, b.history),
    historyEvents: Math.max(a.historyEvents, b.historyEvents),
    workers: Math.max(a.workers, b.workers),
    database: Math.max(a.database, b.database),
    own: Math.max(a.own, b.own),
  };
}

/** The most that any run of a job had, also one that ended between two looks. */
export interface LargestRun {
  readonly runs: number;
  /** Of its history. */
  readonly bytes: number;
  readonly events: number;
  /** What it was given by the run before. */
  readonly carriedBytes: number;
}

export async function largestRun(client: Client, jobId: string): Promise<LargestRun> {
  let [runs, bytes, events, carriedBytes] = [0, 0, 0, 0];
  for await (const run of client.workflow.list({ query: `WorkflowId = '${jobWorkflowId(jobId)}'` })) {
    runs++;
    bytes = Math.max(bytes, run.historySize ?? 0);
    events = Math.max(events, run.historyLength);
    carriedBytes = Math.max(carriedBytes, await inputBytes(client, run));
  }
  return { runs, bytes, events, carriedBytes };
}

async function inputBytes(client: Client, execution: { workflowId: string; runId: string }): Promise<number> {
  const { namespace } = client.options;
  const page = await client.workflowService.getWorkflowExecutionHistory({ namespace, execution, maximumPageSize: 1 });
  const payloads = page.history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  return payloads.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
}
