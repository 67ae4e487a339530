import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { GRPC, grpcCode } from './server-errors.ts';

// What the server itself knows of a workflow: no worker is asked.

/** Whether a workflow has not ended. */
export function isOpen({ status }: Pick<WorkflowExecutionDescription, 'status'>): boolean {
  return status.name === 'RUNNING' || status.name === 'PAUSED';
}

/** Whether a job has stopped and keeps what waits, which its memo then says: its workflow is open, and sends nothing until it is resumed. */
export function isStopped({ status, memo }: Pick<WorkflowExecutionDescription, 'status' | 'memo'>): boolean {
  return isOpen({ status }) && memo?.['kept'] != null;
}

/** The open workflow with this id; undefined when there is none. */
export async function describeOpen(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  const found = await describeLast(client, workflowId);
  return found !== undefined && isOpen(found) ? found : undefined;
}

/** The last run of a workflow, also one that has ended; undefined when the server knows none. */
export async function describeLast(
  client: Client,
  workflowId: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId).describe();
  } catch (error) {
    if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
    throw error;
  }
}

/** The words for how a closed workflow ended. */
export function endedAs(status: string): string {
  return ENDS[status] ?? status.toLowerCase().replaceAll('_', ' ');
}
const ENDS: Readonly<Record<string, string>> = { COMPLETED: 'stopped' };

/** Whether a job whose workflow closed like this did not end normally, so that what it had not delivered can be recovered. */
export function endedFromOutside(status: string): boolean {
  return FROM_OUTSIDE.has(status);
}
const FROM_OUTSIDE: ReadonlySet<string> = new Set(['TERMINATED', 'TIMED_OUT', 'FAILED']);

/** Until when the server keeps the history of a workflow that has ended, in epoch ms; undefined when nobody can say. */
export async function knownUntil(
  client: Client,
  { closeTime }: WorkflowExecutionDescription,
): Promise<number | undefined> {
  if (closeTime === undefined) return undefined;
  const { config } = await client.workflowService.describeNamespace({ namespace: client.options.namespace });
  const retention = config?.workflowExecutionRetentionTtl;
  return retention == null ? undefined : closeTime.getTime() + Number(retention.seconds ?? 0) * 1000;
}
