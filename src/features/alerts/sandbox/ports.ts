import { defineSignal } from '@temporalio/workflow';
import type { RaisedAlert } from '../../../contract/alert.ts';

/** The workflow type that sends the alerts of one job, one after the other, however long their webhook is down. */
export const ALERTS = 'alerts';

/** To that workflow: these are to be sent, too. */
export const alertsSignal = defineSignal<[readonly RaisedAlert[]]>('alerts');

/** The id of the workflow that sends the alerts of a job, or of the watch of an audience. */
export function alertsWorkflowId({ job, audience }: Pick<RaisedAlert, 'job' | 'audience'>): string {
  return job === undefined ? `watch-alerts-${audience?.id ?? ''}` : `alerts-${job.id}`;
}

/** The activity that this workflow asks of a worker. */
export interface AlertActivities {
  /** Sends one alert to the webhook of this worker. Fails unless it was accepted. */
  readonly sendAlert: (alert: RaisedAlert) => Promise<void>;
}
