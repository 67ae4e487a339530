import type { ServerLimits } from '../../src/contract/ports.ts';
import {
  type DynamicConfigValue,
  type LocalTemporal,
  startLocalTemporal,
} from '../../src/features/local/temporal-server.ts';
import { temporal } from './temporal.ts';

const NAMES: Readonly<Record<keyof ServerLimits, string>> = {
  signalsPerRun: 'history.maximumSignalsPerExecution',
  eventsPerRun: 'limit.historyCount.error',
  payloadBytes: 'limit.blobSize.error',
};

/** A server for one test that allows no more than this, with other settings as given. */
export async function startTightServer(
  limits: Partial<ServerLimits>,
  more: Readonly<Record<string, DynamicConfigValue>> = {},
): Promise<LocalTemporal> {
  const named = Object.entries(limits).map(([limit, most]) => [NAMES[limit as keyof ServerLimits], most]);
  return await startLocalTemporal({
    cliPath: temporal.cliPath,
    dynamicConfig: { ...(Object.fromEntries(named) as Record<string, number>), ...more },
  });
}
