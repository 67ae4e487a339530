import { proxyActivities } from '@temporalio/workflow';
import type { AuthorizationListing } from '../contract/authorization.ts';
import type { Activities } from '../contract/ports.ts';

const { listAuthorizations: askWorker } = proxyActivities<Activities>({
  startToCloseTimeout: '10 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/** Asks a worker which authorizations it has: how a client that reaches only Temporal learns what a job may name. */
export async function listAuthorizations(): Promise<readonly AuthorizationListing[]> {
  return await askWorker();
}
