import type { Client } from '@temporalio/client';
import type { WorkflowIdReusePolicy } from '@temporalio/common';
import type { RaisedAlert } from '../../contract/alert.ts';
import { ALERTS, alertsSignal } from './sandbox/ports.ts';

/**
 * Signals alerts to the workflow with this id that sends them in turn, and starts it where it does not run. May be called again after its answer
 * was lost.
 * @throws WorkflowExecutionAlreadyStartedError with `REJECT_DUPLICATE`, if the server knows a workflow of this id that has ended
 */
export type QueueAlerts = (
  workflowId: string,
  alerts: readonly RaisedAlert[],
  reuse?: WorkflowIdReusePolicy,
) => Promise<void>;

/** Queues alerts through a Temporal client. Their workflows run on the worker's own task queue. */
export function alertQueue(client: Client, taskQueue: string): QueueAlerts {
  return async (workflowId, alerts, reuse = 'ALLOW_DUPLICATE') => {
    await client.workflow.signalWithStart(ALERTS, {
      workflowId,
      workflowIdReusePolicy: reuse,
      taskQueue,
      signal: alertsSignal,
      signalArgs: [alerts],
      versioningOverride: 'AUTO_UPGRADE',
    });
  };
}
