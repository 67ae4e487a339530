import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { type DataConverter, NamespaceNotFoundError } from '@temporalio/common';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import type { AlertSettings } from '../activities/alerts.ts';
import { createActivities } from '../activities/index.ts';
import { StallDetector } from '../activities/stall-detector.ts';
import type { ConnectConfig } from '../client/connect.ts';
import { missingSearchAttributes } from '../client/jobs/search-attributes.ts';
import { TemporalSideWorkflows } from '../client/side-workflows.ts';
import { checkDestinations } from '../config/authorization-config.ts';
import { type Config, configuredSource } from '../config/config.ts';
import type { WorkflowStanding } from '../contract/ports.ts';
import type { JobSettings } from '../contract/sample.ts';
import { SLICES } from '../domain/limits.ts';
import { openSource } from '../sources/open-source.ts';
import { type AudienceSource, measuredSource } from '../sources/source.ts';
import { dataConverterWith, workerDataConverterWith } from '../temporal/data-converter.ts';
import type { WorkerTracing } from '../tracing/worker-tracing.ts';
import { createPoster } from '../webhook/attempt.ts';
import { Authorizations } from '../webhook/authorizations.ts';
import { GuardedAgents } from '../webhook/guarded-agents.ts';
import { NetworkPolicy, refusalBeforehand } from '../webhook/network-policy.ts';
import { trustedAuthorities } from '../webhook/tls.ts';
import { permitsReturnedSignal, settingsQuery } from '../workflows/messages.ts';
import { reloadAuthorizations } from './authorizations-reload.ts';
import { workerDeployment } from './deployment.ts';
import { serveMetrics } from './metrics/metrics-server.ts';
import { release } from './release.ts';
import { TemporalListeners } from './runtime.ts';
import { workflowCode } from './workflow-code.ts';

export interface StartWorkerOptions {
  readonly config: Config;
  /** Reads the configuration again, for authorizations that change while the worker runs. Default: they do not. */
  readonly readConfig?: (() => Config) | undefined;
  readonly connection: ConnectConfig;
  /** Used instead of the source that the configuration names; closed by whoever made it. */
  readonly source?: AudienceSource;
  /**
   * Bundled workflow code. By default the one that was built, or else it is bundled now. Where payloads are encrypted, it has to have our
   * failure converter.
   */
  readonly workflowBundle?: WorkerOptions['workflowBundle'];
  /** Where the SDK's own metrics are served, as given to the runtime; they are appended to ours. */
  readonly sdkMetricsAddress?: string | undefined;
}

export interface RunningWorker {
  /** Rejects when the worker fails by itself; pending while it runs, and forever once it was shut down. */
  readonly failed: Promise<never>;
  /** Name and build id of its deployment; absent when it is unversioned. */
  readonly deploymentVersion?: string;
  /** The URL to scrape; absent when no metrics are configured. */
  readonly metricsUrl?: string;
  /** Takes no more work, lets requests in flight end, then closes everything. */
  shutdown(): Promise<void>;
}

/** Longer than a request may take, so that a clean shutdown cuts none off and nothing is sent twice because of it. */
const SHUTDOWN_MARGIN_MS = 10_000;
/** Long, since a job answers at once unless its whole history has to be read first. */
const QUERY_MS = 15_000;
const GRPC_NOT_FOUND = 5;

/**
 * Wires up a worker (configuration to source, authorizations and connections, and these to activities) and runs it.
 *
 * @throws ConfigError when no source is configured, alerts or tokens go where nothing may be sent, or metrics cannot be served where they should; the SDK's TransportError when no server
 *   answers, and its NamespaceNotFoundError.
 */
export async function startWorker(options: StartWorkerOptions): Promise<RunningWorker> {
  checkDestinations(options.config);
  const opened = new Opened();
  try {
    return await startOpening(opened, options);
  } catch (error) {
    // Why it could not start is what matters, not what else goes wrong on the way out.
    await opened.close().catch(() => undefined);
    throw error;
  }
}

/** What has been opened so far: closed in reverse order, each whatever becomes of the others, so that nothing keeps the process from ending. */
export class Opened {
  readonly #closes: (() => unknown)[] = [];

  with<T>(one: T, close: (one: T) => unknown): T {
    this.#closes.push(() => close(one));
    return one;
  }

  /** Rejects with what the first that failed to close failed with. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of this.#closes.splice(0).toReversed()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

async function startOpening(opened: Opened, options: StartWorkerOptions): Promise<RunningWorker> {
  const { sdkMetricsAddress, config } = options;
  const served =
    config.metrics &&
    opened.with(
      await serveMetrics({ config: config.metrics, sdkMetricsAddress, log: Runtime.instance().logger }),
      (metrics) => metrics.close(),
    );
  const dataConverter = dataConverterWith(config.payloadKeys);
  const code = bundledCode(options.workflowBundle, dataConverter);
  const deployment = workerDeployment(config, code.workflowBundle);
  const connection = opened.with(await NativeConnection.connect(options.connection.connectionOptions), (one) =>
    one.close(),
  );
  const { namespace } = options.connection;
  await findNamespace(connection, namespace);
  const client = new Client({ connection, namespace, dataConverter });
  const onProblem = (text: string): void => Runtime.instance().logger.warn(text);
  const source =
    options.source ??
    opened.with(await openSource(configuredSource(config), { network: config.network, onProblem }), (one) =>
      one.close(),
    );
  const policy = new NetworkPolicy(config.network);
  const agentOptions = { timeoutMs: config.requestTimeoutMs, policy };
  const poster = opened.with(createPoster(agentOptions), (one) => one.close());
  const tokenAgents = opened.with(new GuardedAgents(agentOptions), (one) => one.close());
  const metrics = served?.metrics;
  const authorizations = new Authorizations(config.authorizations, tokenAgents, (isFetched) =>
    metrics?.tokenFetched(isFetched),
  );
  const tracing = opened.with(await openTracing(config), (one) => one?.close());
  const stalls = opened.with(new StallDetector(), (one) => one.close());
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: config.taskQueue,
    ...code,
    ...(deployment === undefined ? {} : { workerDeploymentOptions: deployment.options }),
    dataConverter: workerDataConverterWith(config.payloadKeys),
    activities: createActivities({
      source: metrics === undefined ? source : measuredSource(source, (...call) => metrics.sourceCalled(...call)),
      poster,
      metrics,
      tracing,
      logsAttempts: config.logLevel === 'debug',
      authorizations,
      hasStalled: () => stalls.hasStalled(),
      userAgent: `audience-triggers/${release()}`,
      requestTimeoutMs: config.requestTimeoutMs,
      alertBacklogMs: config.alerts.backlogMinutes * 60_000,
      alerts: alertsOf(config),
      destinationRefusal: (url) => refusalBeforehand(policy, url),
      serverLimits: config.serverLimits,
      missingSearchAttributes: () => missingSearchAttributes(connection, namespace),
      lookUpWorkflow: (workflowId) => lookUpWorkflow(client, workflowId),
      watchFolder: config.watch.folder,
      listeners: new TemporalListeners(client, config.taskQueue),
      jobSettings: (workflowId) => jobSettings(client, workflowId),
      sideWorkflows: new TemporalSideWorkflows(client, config.taskQueue),
      returnPermits: (workflowId, sliceId, left) =>
        client.workflow.getHandle(workflowId).signal(permitsReturnedSignal, { sliceId, left }),
    }),
    // As many as a job has slices; the workflow decides which of them may start eagerly.
    maxEagerActivityReservationsPerWorkflowTask: SLICES,
    maxConcurrentActivityTaskExecutions: config.maxConcurrentSlices,
    // By default, heartbeats are 0.8 × the timeout apart: too far to resume close to where a killed worker was.
    maxHeartbeatThrottleInterval: '1 second',
    // How long a job's next task waits for a dead worker; the default is twice as long.
    stickyQueueScheduleToStartTimeout: '5 seconds',
    shutdownGraceTime: config.requestTimeoutMs + SHUTDOWN_MARGIN_MS,
  });

  opened.with(served?.askJobs(client, config.taskQueue), (end) => end?.());
  const { readConfig } = options;
  if (readConfig !== undefined) {
    const endReload = reloadAuthorizations({
      read: () => {
        const { authorizations: changed } = readConfig();
        // Nothing else is taken over, so they must fit what the worker began with.
        checkDestinations({ ...config, authorizations: changed });
        return changed;
      },
      initial: config.authorizations,
      replace: (changed) => authorizations.replace(changed),
      log: Runtime.instance().logger,
    });
    opened.with(endReload, (end) => end());
  }
  const running = worker.run();
  const failed = new Promise<never>((_, reject) => {
    running.catch(reject);
  });
  failed.catch(() => undefined); // Whoever cares awaits it; nobody has to.
  return {
    failed,
    ...(deployment === undefined ? {} : { deploymentVersion: deployment.version }),
    ...(served === undefined ? {} : { metricsUrl: served.url }),
    shutdown: async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running.catch(() => undefined);
      await opened.close();
    },
  };
}

/**
 * The SDK's worker reports a missing namespace only in the text of an error, and what it leaves behind then keeps the process from ending.
 * @throws NamespaceNotFoundError
 */
async function findNamespace(connection: NativeConnection, namespace: string): Promise<void> {
  try {
    await connection.workflowService.describeNamespace({ namespace });
  } catch (error) {
    const code: number | undefined = isGrpcServiceError(error) ? error.code : undefined;
    // A client that may not ask this may still be able to work.
    if (code === GRPC_NOT_FOUND) throw new NamespaceNotFoundError(namespace);
  }
}

async function openTracing({ tracing, network }: Config): Promise<WorkerTracing | undefined> {
  if (tracing === undefined) return undefined;
  // Loaded here, so that OpenTelemetry's packages cost nothing without tracing.
  const { WorkerTracing } = await import('../tracing/worker-tracing.ts');
  return new WorkerTracing({
    ...tracing,
    version: release(),
    authorities: trustedAuthorities(network.certificateAuthorities),
    log: Runtime.instance().logger,
  });
}

function alertsOf({ alerts: { url, authorization } }: Config): AlertSettings | undefined {
  return url === undefined ? undefined : { url, authorization };
}

function bundledCode(
  bundle: WorkerOptions['workflowBundle'],
  { failureConverterPath }: DataConverter,
): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath' | 'bundlerOptions' | 'interceptors'> {
  if (bundle !== undefined) return { workflowBundle: bundle };
  const name = failureConverterPath === undefined ? 'workflow-bundle' : 'encrypting-workflow-bundle';
  const built = fileURLToPath(new URL(`../${name}.js`, import.meta.url));
  if (existsSync(built)) return { workflowBundle: { codePath: built } };
  const { workflowsPath, preloadModules, workflowInterceptorModules } = workflowCode();
  return {
    workflowsPath,
    bundlerOptions: { preloadModules },
    interceptors: { workflowModules: workflowInterceptorModules },
  };
}

async function lookUpWorkflow(client: Client, workflowId: string): Promise<WorkflowStanding> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? 'running' : 'closed';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'absent';
    throw error;
  }
}

async function jobSettings(client: Client, workflowId: string): Promise<JobSettings | null | undefined> {
  try {
    return await client.withDeadline(Date.now() + QUERY_MS, () =>
      client.workflow.getHandle(workflowId).query(settingsQuery),
    );
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
