import { proxyActivities, setWorkflowOptions } from '@temporalio/workflow';
import type { JobAlert } from '../contract/alert.ts';
import type { Activities } from '../contract/ports.ts';

// Older than a day it is no news any more; the job's status says how it is.
const { sendAlert } = proxyActivities<Activities>({
  startToCloseTimeout: '2 minutes',
  scheduleToCloseTimeout: '1 day',
  retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes' },
});

// Goes over to a newer build while it tries, instead of keeping the old one up for a day.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, alert);

/** Sends one alert to the operators' webhook, again and again until it is taken, for a day. */
export async function alert(input: JobAlert): Promise<void> {
  await sendAlert(input);
}
