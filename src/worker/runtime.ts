import { type LogLevel, type LogMetadata, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { destination, type Logger } from 'pino';
import type { CoreConfig } from '../config/core-config.ts';
import { createLog, isOfEarlyQuery } from './log.ts';

export interface RuntimeOptions extends Pick<CoreConfig, 'logLevel'> {
  /** Where the SDK's own metrics are served, `127.0.0.1:<port>`. Default: nowhere. */
  readonly sdkMetricsAddress?: string | undefined;
}

/**
 * Sets up the Temporal runtime of this process, once, before any worker is started. The worker, its workflows and its activities share one
 * log: JSON lines by pino on standard error. The order of shutdown is left to us.
 */
export function installRuntime({ logLevel, sdkMetricsAddress }: RuntimeOptions): void {
  const log = createLog(logLevel, destination(2));
  Runtime.install({
    logger: {
      log: (level, message, meta) => write(log, level, message, meta),
      trace: (message, meta) => write(log, 'TRACE', message, meta),
      debug: (message, meta) => write(log, 'DEBUG', message, meta),
      info: (message, meta) => write(log, 'INFO', message, meta),
      warn: (message, meta) => write(log, 'WARN', message, meta),
      error: (message, meta) => write(log, 'ERROR', message, meta),
    },
    telemetryOptions: {
      logging: {
        filter: makeTelemetryFilterString({ core: logLevel === 'silent' ? 'ERROR' : 'WARN', other: 'ERROR' }),
        forward: {},
      },
      ...(sdkMetricsAddress === undefined
        ? {}
        : {
            metrics: {
              prometheus: {
                bindAddress: sdkMetricsAddress,
                countersTotalSuffix: true,
                useSecondsForDurations: true,
                unitSuffix: true,
              },
            },
          }),
    },
    shutdownSignals: [],
  });
}

/** Ends the runtime when no worker could be started, since it would keep the process from ending: otherwise it ends only when a connection closes. */
export async function shutdownRuntime(): Promise<void> {
  await Runtime.instance().shutdown();
}

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

function write(log: Logger, level: LogLevel, message: string, meta: LogMetadata | undefined): void {
  const { error, ...rest } = meta ?? {};
  // State changes of the SDK's worker are only of interest when debugging it.
  const chatter = (level === 'INFO' && rest['sdkComponent'] === 'worker') || isOfEarlyQuery(meta ?? {});
  log[chatter ? 'debug' : LEVELS[level]](error === undefined ? rest : { ...rest, err: error }, message);
}
