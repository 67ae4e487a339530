import type { Client } from '@temporalio/client';
import { ConfigError, type Config } from './config.ts';
import { JobWatch } from './job-watch.ts';
import { type MetricsServer, startMetricsServer } from './metrics/metrics-server.ts';
import { readSdkMetrics } from './metrics/sdk-metrics.ts';
import type { WorkerMetrics } from './metrics/worker-metrics.ts';

export interface ServeMetricsOptions {
  readonly config: NonNullable<Config['metrics']>;
  readonly metrics: WorkerMetrics;
  readonly client: Client;
  readonly taskQueue: string;
  readonly sdkMetricsAddress: string | undefined;
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
}

/**
 * Serves a worker's metrics: its own, what its jobs said when they were last asked, and the Temporal SDK's. That somebody scrapes is what has the jobs
 * asked, for the next scrape.
 *
 * @throws ConfigError when nothing can listen there.
 */
export async function serveMetrics(options: ServeMetricsOptions): Promise<MetricsServer> {
  const { config, metrics, client, taskQueue, sdkMetricsAddress, log } = options;
  const { host, port, jobs: most } = config;
  const told: JobWatch | undefined =
    most === 0
      ? undefined
      : new JobWatch({ client, taskQueue, most, told: (statuses, untold) => metrics.jobs.replace(statuses, untold) });
  const sdkText = async (): Promise<string> => {
    if (sdkMetricsAddress === undefined) return '';
    try {
      return await readSdkMetrics(sdkMetricsAddress);
    } catch (error) {
      log.warn('the Temporal SDK gave no metrics', { error });
      return '';
    }
  };
  const text = async (): Promise<string> => {
    told?.look();
    const [ours, sdk] = await Promise.all([metrics.text(), sdkText()]);
    return ours + sdk;
  };
  metrics.tellProcess();
  const server = await listening({ host, port, contentType: metrics.contentType, text });
  return {
    url: server.url,
    close: async () => {
      await server.close();
      await told?.rest();
    },
  };
}

async function listening(options: Parameters<typeof startMetricsServer>[0]): Promise<MetricsServer> {
  try {
    return await startMetricsServer(options);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
    throw new ConfigError(
      `Metrics cannot be served at ${options.host}:${options.port} (${code}). Choose another TRIGGERS_METRICS_PORT, or "metrics" in triggers.config.json.`,
      { cause: error },
    );
  }
}
