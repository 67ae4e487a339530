import { condition, log, proxyActivities, setHandler } from '@temporalio/workflow';
import type { RaisedAlert } from '../../../contract/alert.ts';
import { isRecord } from '../../../domain/json.ts';
import { summaryOf } from '../../../domain/workflow-visibility.ts';
import { INTERNAL } from '../../../workflows/answering.ts';
import { type AlertActivities, alertsSignal } from './ports.ts';

/** After a day an alert is no longer news; the status of the job is. */
const NEWS_MS = 24 * 60 * 60_000;
/** Time, in ms, for an alert that has become old while others were tried before it. */
const LAST_TRY_MS = 2 * 60_000;

/**
 * Sends the signalled alerts to the operators' webhook, one after the other: a pager must not hear of an end before the beginning. Retries
 * each until it is accepted, at most until it is a day old. Ends when none is left.
 */
export async function alerts(): Promise<void> {
  const owed: RaisedAlert[] = [];
  setHandler(
    alertsSignal,
    (raised: unknown) => {
      for (const one of Array.isArray(raised) ? raised : [])
        if (isRaised(one) && !owed.some(({ id }) => id === one.id)) owed.push(one);
    },
    { description: INTERNAL },
  );
  // The signal that started it is handled after its first line has run.
  await condition(() => owed.length > 0, '1 minute');
  for (let first = owed[0]; first !== undefined; first = owed[0]) {
    await send(first);
    owed.shift();
  }
}

async function send(raised: RaisedAlert): Promise<void> {
  const { job, audience, alert } = raised;
  const { sendAlert } = proxyActivities<AlertActivities>({
    startToCloseTimeout: '2 minutes',
    scheduleToCloseTimeout: Math.max(LAST_TRY_MS, Date.parse(alert.at) + NEWS_MS - Date.now()),
    retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes' },
    summary: summaryOf(`${alert.kind} ${alert.state}`),
  });
  try {
    await sendAlert(raised);
  } catch (error) {
    const about = { jobId: job?.id, audiences: audience?.slug, alert: alert.kind, state: alert.state };
    log.error('an alert could not be sent', { ...about, error });
  }
}

/** Anybody who reaches Temporal can signal anything. */
function isRaised(one: unknown): one is RaisedAlert {
  return isRecord(one) && typeof one['id'] === 'string' && isRecord(one['alert']);
}
