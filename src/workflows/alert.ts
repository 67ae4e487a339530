import { proxyActivities } from '@temporalio/workflow';
import type { JobAlert } from '../contract/alert.ts';
import type { Activities } from '../contract/ports.ts';

// After a day it is no longer news; the job's status says how things are.
const { sendAlert } = proxyActivities<Activities>({
  startToCloseTimeout: '2 minutes',
  scheduleToCloseTimeout: '1 day',
  retry: { initialInterval: '5 seconds', maximumInterval: '10 minutes' },
});

/** Sends one alert to the operators' webhook, again and again for a day until it is accepted. */
export async function alert(input: JobAlert): Promise<void> {
  await sendAlert(input);
}
