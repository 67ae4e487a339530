import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../contract/ports.ts';
import type { PreparedWatch } from '../contract/watch.ts';

const { prepareWatch } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/** Checks the audiences of a watch against what the worker knows, and starts nothing. */
export async function checkWatch(names: readonly string[]): Promise<PreparedWatch> {
  return await prepareWatch(names);
}
