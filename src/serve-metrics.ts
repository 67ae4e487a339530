import type { Client } from '@temporalio/client';
import { ConfigError, type Config } from './config.ts';
import { JobWatch } from './job-watch.ts';
import { type MetricsServer, startMetricsServer } from './metrics/metrics-server.ts';
import { readSdkMetrics } from './metrics/sdk-metrics.ts';
import { WorkerMetrics } from './metrics/worker-metrics.ts';

export interface ServeMetricsOptions {
  readonly config: NonNullable<Config['metrics']>;
  /** Absent: the SDK exposes nothing. */
  readonly sdkMetricsAddress?: string | undefined;
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
}

/** The metrics of a worker, and the server that serves them. */
export interface ServedMetrics {
  readonly metrics: WorkerMetrics;
  readonly url: string;
  /** From now on the running jobs of this task queue are asked when somebody scrapes; the next scrape has their answers. */
  askJobs(client: Client, taskQueue: string): void;
  close(): Promise<void>;
}

/**
 * Serves a worker's metrics: its own, the last answers of its jobs, and the Temporal SDK's.
 * @throws ConfigError when nothing can listen there.
 */
export async function serveMetrics({ config, sdkMetricsAddress, log }: ServeMetricsOptions): Promise<ServedMetrics> {
  const { host, port, jobs: most } = config;
  const metrics = new WorkerMetrics();
  let jobWatch: JobWatch | undefined;
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
    void jobWatch?.look();
    const [ours, sdk] = await Promise.all([metrics.text(), sdkText()]);
    return ours + sdk;
  };
  const server = await listening({ host, port, contentType: metrics.contentType, text });
  metrics.tellProcess();
  return {
    metrics,
    url: server.url,
    askJobs: (client, taskQueue) => {
      if (most === 0) return;
      const told = metrics.jobs.replace.bind(metrics.jobs);
      jobWatch = new JobWatch({ client, taskQueue, most, told });
    },
    close: async () => {
      await server.close();
      await jobWatch?.close();
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
