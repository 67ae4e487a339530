import type { ServerLimits } from '../src/contract/ports.ts';
import { DEFAULT_SERVER_LIMITS } from '../src/domain/limits.ts';
import type { DynamicConfigValue } from '../src/features/local/temporal-server.ts';

/** What a server allows: as it is told itself, and as its workers are told. */
export interface StageLimits {
  readonly dynamicConfig: Readonly<Record<string, DynamicConfigValue>>;
  readonly serverLimits: ServerLimits;
  /** Most triggers in one push, so that a signal with them stays under the payload limit. */
  readonly pushSize: number;
}

export const DEFAULT_LIMITS: StageLimits = { dynamicConfig: {}, serverLimits: DEFAULT_SERVER_LIMITS, pushSize: 1_000 };

const SHRUNK: ServerLimits = { ...DEFAULT_SERVER_LIMITS, signalsPerRun: 50, payloadBytes: 64 * 1024 };

/**
 * So tight that a job continues as new all the time. The limit of events is not shrunk with them: what a run accepts (50 signals of up to
 * 64 KiB here) must leave it in holders (4 KiB each here, of three events each), so that it must let through 2,400 events at the least.
 */
export const SHRUNK_LIMITS: StageLimits = {
  dynamicConfig: {
    'history.maximumSignalsPerExecution': SHRUNK.signalsPerRun,
    'limit.historyCount.suggestContinueAsNew': 100,
    'limit.blobSize.error': SHRUNK.payloadBytes,
    'history.maximumBufferedEventsBatch': 5,
  },
  serverLimits: SHRUNK,
  pushSize: 100,
};
