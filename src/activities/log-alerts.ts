import { Context } from '@temporalio/activity';
import type { RaisedAlert } from '../contract/alert.ts';

/** Writes alerts to the worker's log. */
export function logAlerts(alerts: readonly RaisedAlert[]): void {
  for (const { job, audience, alert } of alerts) {
    const fields = {
      jobId: job?.id,
      audiences: audience?.slug,
      alert: alert.kind,
      state: alert.state,
      text: alert.text,
    };
    const isGood = alert.state === 'ended' || alert.kind === 'backfill-finished';
    Context.current().log[isGood ? 'info' : 'warn']('alert', fields);
  }
}
