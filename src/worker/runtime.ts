import type { Client } from '@temporalio/client';
import { type LogLevel, type LogMetadata, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { destination, type Logger } from 'pino';
import type { FoundListeners, Listeners, TellOptions } from '../activities/watch/emit-changes.ts';
import { JobNotFound, JobNotRunning, PushInterrupted } from '../client/errors.ts';
import { ExportJobs } from '../client/export-jobs.ts';
import { reachableJobs } from '../client/jobs/job-list.ts';
import type { Config } from '../config/config.ts';
import type { EventTrigger } from '../contract/trigger.ts';
import { findAudience } from '../domain/names.ts';
import { createLog } from './log.ts';

/** A job that does not accept a signal for this long, in ms, is left for a later attempt. */
const PATIENCE_MS = 60_000;

/** The running jobs of a task queue, signalled as any publisher would signal them. Those of another have another source, and other keys. */
export class TemporalListeners implements Listeners {
  readonly #client: Client;
  readonly #taskQueue: string;
  readonly #jobs: ExportJobs;

  constructor(client: Client, taskQueue: string) {
    this.#client = client;
    this.#taskQueue = taskQueue;
    this.#jobs = new ExportJobs(client);
  }

  async of(audience: string): Promise<FoundListeners> {
    const jobs = (await reachableJobs(this.#client)).filter(({ taskQueue }) => taskQueue === this.#taskQueue);
    const readable = jobs.filter(({ unreadable }) => unreadable === undefined);
    return {
      jobIds: readable
        .filter(({ audiences = [] }) => findAudience(audiences, audience) !== undefined)
        .map(({ jobId }) => jobId),
      unreadable: jobs.filter(({ unreadable }) => unreadable !== undefined).map(({ jobId }) => jobId),
    };
  }

  async tell(jobId: string, triggers: AsyncIterable<EventTrigger>, options: TellOptions): Promise<void> {
    const { signal, onAccepted } = options;
    try {
      await this.#jobs.push(jobId, triggers, {
        signal,
        patienceMs: PATIENCE_MS,
        onProgress: ({ accepted }) => onAccepted(accepted),
      });
    } catch (error) {
      // It has ended, so it gets nothing more.
      const cause = error instanceof PushInterrupted ? error.cause : undefined;
      if (!(cause instanceof JobNotRunning || cause instanceof JobNotFound)) throw error;
    }
  }
}

/**
 * Sets up the Temporal runtime of this process, once, before any worker is started: with one log, JSON lines by pino on standard error, for
 * the worker, its workflows and its activities, and with the order of shutdown left to us.
 *
 * @param sdkMetricsAddress where the SDK's own metrics are served, `127.0.0.1:<port>`; absent: nowhere.
 */
export function installRuntime({ logLevel }: Pick<Config, 'logLevel'>, sdkMetricsAddress?: string): void {
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
  const chatter = level === 'INFO' && rest['sdkComponent'] === 'worker';
  log[chatter ? 'debug' : LEVELS[level]](error === undefined ? rest : { ...rest, err: error }, message);
}
