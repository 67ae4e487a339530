import { proxyActivities } from '@temporalio/workflow';
import type { AudienceList } from '../contract/audience.ts';
import type { Activities } from '../contract/ports.ts';

const source = proxyActivities<Activities>({
  startToCloseTimeout: '20 seconds',
  scheduleToCloseTimeout: '1 minute',
});

/** Asks a worker which audiences its source has. */
export async function listAudiences(): Promise<AudienceList> {
  return await source.listAudiences();
}

/** Asks a worker which fields a profile has: only their names, nobody's values. */
export async function listProfileFields(audience: string): Promise<readonly string[]> {
  return await source.listProfileFields(audience);
}
