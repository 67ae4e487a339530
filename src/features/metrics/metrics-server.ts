import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { Client } from '@temporalio/client';
import type { MetricsConfig } from './config.ts';
import { ConfigError } from '../../config/problems.ts';
import type { AudienceSource } from '../../activities/audience-source.ts';
import { measuredSource } from '../../sources/source.ts';
import { isLoopback, pageFault } from '../../http/origin-check.ts';
import { JobPoller } from './job-poller.ts';
import { WorkerMetrics } from './worker-metrics.ts';

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 means a free one. */
  readonly port: number;
  readonly contentType: string;
  /** Makes the answer of one scrape. */
  readonly text: () => Promise<string>;
  /** Resolves with why the program cannot do its work at the moment; undefined when it can. Never rejects. When given, `/healthz` and `/readyz` are answered, too. */
  readonly problem?: () => Promise<string | undefined>;
  /** A hint for people, though the program can do its work; shown by `/readyz`. */
  readonly notice?: () => string | undefined;
}

/** A running metrics server. */
export interface MetricsServer {
  /** The URL to scrape: `http://127.0.0.1:9464/metrics`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves metrics to anybody who asks: `GET /metrics`, and whether the program lives and can do its work.
 * @throws the error from listening: the port is taken, say.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '').split('?');
    // Beyond this machine it may have any name.
    if (isLoopback(options.host) && pageFault(request, false) !== undefined)
      response.writeHead(403, { 'content-type': 'text/plain' }).end('Ask 127.0.0.1, and from no other page.\n');
    else if (path === '/metrics' && request.method === 'GET') void respond(options, response);
    else if (path === '/healthz' && options.problem !== undefined) answerJson(response, 200, { ok: true });
    else if (path === '/readyz' && options.problem !== undefined)
      void options.problem().then((problem) => answerReady(response, problem, options.notice?.()));
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('Metrics are at /metrics.\n');
  });
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The metrics server has no port.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${host}:${address.port}/metrics`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function answerReady(response: ServerResponse, problem: string | undefined, notice: string | undefined): void {
  if (problem === undefined) answerJson(response, 200, { ok: true, problem: notice });
  else answerJson(response, 503, { ok: false, problem });
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

async function respond({ contentType, text }: MetricsServerOptions, response: ServerResponse): Promise<void> {
  try {
    const body = await text();
    response.writeHead(200, { 'content-type': contentType }).end(body);
  } catch {
    response.writeHead(500, { 'content-type': 'text/plain' }).end('The metrics could not be collected.\n');
  }
}

export interface ServeMetricsOptions {
  readonly config: MetricsConfig;
  /** Absent: the SDK serves no metrics. */
  readonly sdkMetricsAddress?: string | undefined;
  readonly log: { readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void };
  /** Resolves with why the worker cannot do its work at the moment; undefined when it can. Never rejects. */
  readonly problem: () => Promise<string | undefined>;
}

/** The metrics of a worker, and the server that serves them. */
export interface ServedMetrics {
  readonly metrics: WorkerMetrics;
  readonly url: string;
  /** The same source, whose calls are counted. */
  measured(source: AudienceSource): AudienceSource;
  /**
   * From now on, each scrape queries the running jobs of this task queue; the next scrape has their answers. Returns a function that ends this:
   * no job is queried once it resolves.
   */
  askJobs(client: Client, taskQueue: string): () => Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves a worker's metrics: its own, the last answers of its jobs, and the Temporal SDK's.
 * @throws ConfigError when nothing can listen there.
 */
export async function serveMetrics({
  config,
  sdkMetricsAddress,
  log,
  problem,
}: ServeMetricsOptions): Promise<ServedMetrics> {
  const { host, port, jobs: most } = config;
  const metrics = new WorkerMetrics();
  let jobPoller: JobPoller | undefined;
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
    void jobPoller?.look();
    const [ours, sdk] = await Promise.all([metrics.text(), sdkText()]);
    return ours + sdk;
  };
  const notice = (): string | undefined => {
    void jobPoller?.look();
    const problems = [metrics.jobs.watchProblem, metrics.deliveryLogProblem];
    return problems.filter((problem) => problem !== undefined).join(' ') || undefined;
  };
  const server = await listening({ host, port, contentType: metrics.contentType, text, problem, notice });
  metrics.tellProcess();
  return {
    metrics,
    url: server.url,
    measured: (source) => measuredSource(source, (...call) => metrics.sourceCalled(...call)),
    askJobs: (client, taskQueue) => {
      if (most === 0) return () => Promise.resolve();
      const poller = new JobPoller({
        client,
        taskQueue,
        most,
        polled: (...answers) => metrics.jobs.replace(...answers),
        polledWatches: (phases) => metrics.jobs.replaceWatches(phases),
      });
      jobPoller = poller;
      return async () => {
        jobPoller = undefined;
        await poller.close();
      };
    },
    close: () => server.close(),
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

/** How long, in ms, a scrape waits for the exporter, which is in this process. */
const ANSWER_MS = 2_000;

/** Reads the metrics of the SDK's exporter at this address. They are appended to our own, so that there is only one thing to scrape. */
async function readSdkMetrics(address: string): Promise<string> {
  const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) });
  return await answer.text();
}
