import { proxyActivities } from '@temporalio/workflow';
import type { Activities, PreparedJob } from '../contract/ports.ts';

const { prepareJob } = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/**
 * Checks a job definition against what the worker knows (its source, its authorizations) and starts nothing. This is how a client that
 * reaches only Temporal finds every problem before the job runs.
 */
export async function checkExportJob(definition: unknown): Promise<PreparedJob> {
  return await prepareJob(definition);
}
