import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { DeliverDependencies } from '../activities/deliver.ts';
import { ask } from '../client/calls/asking.ts';
import { TemporalSideWorkflows } from '../client/calls/side-workflows.ts';
import type { SideWorkflows, WorkflowStanding } from '../contract/ports.ts';
import type { JobSettings } from '../contract/slice.ts';
import { permitsReturnedSignal, settingsQuery } from '../workflows/messages.ts';

/** The dependencies of activities that are other workflows. */
export interface TemporalPorts {
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
  /** A job's settings for sending; null before it has begun, undefined when there is no such job. */
  readonly jobSettings: (jobWorkflowId: string) => Promise<JobSettings | null | undefined>;
  readonly returnPermits: DeliverDependencies['returnPermits'];
  readonly sideWorkflows: SideWorkflows;
}

/** Connects activities to other workflows, through a Temporal client. */
export function temporalPorts(client: Client, taskQueue: string): TemporalPorts {
  return {
    lookUpWorkflow: (workflowId) => lookUpWorkflow(client, workflowId),
    jobSettings: (workflowId) => jobSettings(client, workflowId),
    returnPermits: (workflowId, returned) =>
      client.workflow.getHandle(workflowId).signal(permitsReturnedSignal, returned),
    sideWorkflows: new TemporalSideWorkflows(client, taskQueue),
  };
}

async function lookUpWorkflow(client: Client, workflowId: string): Promise<WorkflowStanding> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? 'running' : 'closed';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'absent';
    throw error;
  }
}

/** Long: a job answers at once, unless its whole history must be read first. */
const QUERY_MS = 15_000;

async function jobSettings(client: Client, workflowId: string): Promise<JobSettings | null | undefined> {
  try {
    return await ask(client, workflowId, settingsQuery, { answerMs: QUERY_MS });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
