import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { type DataConverter, NamespaceNotFoundError } from '@temporalio/common';
import { NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import type { AlertSettings } from './activities/alerts.ts';
import { createActivities } from './activities/index.ts';
import { StallWatch } from './activities/stall-watch.ts';
import { reloadAuthorizations } from './authorizations-reload.ts';
import type { ConnectConfig } from './client/connect.ts';
import { missingSearchAttributes } from './client/search-attributes.ts';
import { type Config, configuredSource } from './config.ts';
import type { WorkflowStanding } from './contract/ports.ts';
import type { JobSettings } from './contract/sample.ts';
import { SLICES } from './domain/limits.ts';
import { dataConverterWith } from './payload-codec/data-converter.ts';
import { release } from './release.ts';
import { type ServedMetrics, serveMetrics } from './serve-metrics.ts';
import { measuredSource } from './sources/measured-source.ts';
import { openSource } from './sources/open-source.ts';
import type { AudienceSource } from './sources/source.ts';
import type { WorkerTracing } from './tracing/worker-tracing.ts';
import { TemporalListeners } from './temporal-listeners.ts';
import { TemporalSideWorkflows } from './temporal-side-workflows.ts';
import { Authorizations } from './webhook/authorizations.ts';
import { trustedAuthorities } from './webhook/certificate-authorities.ts';
import { refusalBeforehand } from './webhook/destination-check.ts';
import { GuardedAgents } from './webhook/guarded-agents.ts';
import { NetworkPolicy } from './webhook/network-policy.ts';
import { createPoster } from './webhook/poster.ts';
import { workerDeployment } from './worker-deployment.ts';
import { workflowCode } from './workflow-code.ts';
import { permitsReturnedSignal, settingsQuery } from './workflows/messages.ts';

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
 * @throws ConfigError when no source is configured, or metrics cannot be served where they should; the SDK's TransportError when no server
 *   answers, and its NamespaceNotFoundError.
 */
export async function startWorker(options: StartWorkerOptions): Promise<RunningWorker> {
  const { sdkMetricsAddress, config } = options;
  // First, because what is opened before it would keep the process from ending when the port is taken.
  const served =
    config.metrics &&
    (await serveMetrics({ config: config.metrics, sdkMetricsAddress, log: Runtime.instance().logger }));
  try {
    return await startServed(options, served);
  } catch (error) {
    await served?.close();
    throw error;
  }
}

async function startServed(options: StartWorkerOptions, served: ServedMetrics | undefined): Promise<RunningWorker> {
  const { config } = options;
  const dataConverter = dataConverterWith(config.payloadKeys);
  const code = bundledCode(options.workflowBundle, dataConverter);
  const deployment = workerDeployment(config, code.workflowBundle);
  const connection = await NativeConnection.connect(options.connection.connectionOptions);
  const { namespace } = options.connection;
  await findNamespace(connection, namespace);
  const client = new Client({ connection, namespace, dataConverter });
  const onProblem = (text: string): void => Runtime.instance().logger.warn(text);
  const source = options.source ?? (await openSource(configuredSource(config), { network: config.network, onProblem }));
  const policy = new NetworkPolicy(config.network);
  const agentOptions = { timeoutMs: config.requestTimeoutMs, policy };
  const poster = createPoster(agentOptions);
  const tokenAgents = new GuardedAgents(agentOptions);
  const metrics = served?.metrics;
  const authorizations = new Authorizations(config.authorizations, tokenAgents, (isFetched) =>
    metrics?.tokenFetched(isFetched),
  );
  const tracing = await openTracing(config);
  const stalls = new StallWatch();
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue: config.taskQueue,
    ...code,
    ...(deployment === undefined ? {} : { workerDeploymentOptions: deployment.options }),
    dataConverter,
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
      listeners: new TemporalListeners(client),
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

  served?.askJobs(client, config.taskQueue);
  const { readConfig } = options;
  const endReload =
    readConfig &&
    reloadAuthorizations({
      read: () => readConfig().authorizations,
      initial: config.authorizations,
      replace: (changed) => authorizations.replace(changed),
      log: Runtime.instance().logger,
    });
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
      endReload?.();
      await served?.close();
      await Promise.all([poster.close(), tokenAgents.close(), tracing?.close()]);
      stalls.close();
      if (options.source === undefined) await source.close();
      await connection.close();
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
  const { WorkerTracing } = await import('./tracing/worker-tracing.ts');
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
): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath' | 'bundlerOptions'> {
  if (bundle !== undefined) return { workflowBundle: bundle };
  const name = failureConverterPath === undefined ? 'workflow-bundle' : 'encrypting-workflow-bundle';
  const built = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  if (existsSync(built)) return { workflowBundle: { codePath: built } };
  const { workflowsPath, preloadModules } = workflowCode();
  return { workflowsPath, bundlerOptions: { preloadModules } };
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
