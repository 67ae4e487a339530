import { type Config, configuredSource } from './config.ts';
import { type ConnectConfig, addressOf } from '../client/calls/connect.ts';
import type { AudienceSource } from '../activities/audience-source.ts';
import { answersOf } from '../sources/source.ts';
import { type WorkerOptions, Runtime, Worker, type InjectedSinks, NativeConnection } from '@temporalio/worker';
import { checkDestinations, type AuthorizationsReload, reloadAuthorizations } from '../worker/authorizations-reload.ts';
import { Readiness, MissingKeys } from '../worker/readiness.ts';
import { serveMetrics } from '../features/metrics/metrics-server.ts';
import { dataConverterWith, workerDataConverterWith } from '../temporal/data-converter.ts';
import { workerDeployment, workflowCode } from '../worker/deployment.ts';
import { Client } from '@temporalio/client';
import { openWorkerLog } from '../features/delivery-log/worker-log.ts';
import { newIdentity, THIS_WORKER } from '../worker/identity.ts';
import { type ActivityDependencies, createActivities } from './activities.ts';
import { temporalPorts } from '../worker/temporal-ports.ts';
import { missingSearchAttributes } from '../client/jobs/search-attributes.ts';
import { describeWorker } from '../worker/describe-worker.ts';
import { OutsideAlerts } from '../features/alerts/outside-alerts.ts';
import { temporalProblem, hasNamespace, notLetIn } from '../client/calls/temporal-problem.ts';
import { WORKER_RPC } from '../domain/names.ts';
import { alertsWorkflowId } from '../features/alerts/sandbox/ports.ts';
import { alertQueue } from '../features/alerts/queue-alerts.ts';
import type { DeliveryLog } from '../activities/slice-telemetry.ts';
import type { WorkerSinks } from '../contract/ports.ts';
import { NamespaceNotFoundError, type DataConverter } from '@temporalio/common';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { openSource } from './source.ts';
import { OwnPlaces, NetworkPolicy, refusalBeforehand } from '../network/network-policy.ts';
import { createPoster, type PosterOptions } from '../webhook/attempt.ts';
import { GuardedAgents } from '../network/guarded-agents.ts';
import { ConfiguredAuthorizations } from '../authorizations/authorizations.ts';
import { StallDetector } from '../worker/stall-detector.ts';
import { release } from '../config/release.ts';
import { openTracing } from '../features/spans/open-tracing.ts';
import { alertSettings } from '../features/alerts/activities.ts';
import { SLICES } from '../domain/limits.ts';
import { TEMPLATED_SHAPES } from '../features/templates/shapes.ts';
import { TemporalSubscribers } from '../features/watch/subscribers.ts';

export interface StartWorkerOptions {
  readonly config: Config;
  /** Reads the configuration again, for authorizations that change while the worker runs. Default: they do not. */
  readonly readConfig?: (() => Config) | undefined;
  readonly connection: ConnectConfig;
  /** Used instead of the source that the configuration names; closed by its maker. */
  readonly source?: AudienceSource;
  /**
   * Bundled workflow code. By default the one that was built, or else it is bundled now. Where payloads are encrypted, it has to have our
   * failure converter.
   */
  readonly workflowBundle?: WorkerOptions['workflowBundle'];
  /** Where the SDK's own metrics are served, as given to the runtime; they are appended to ours. */
  readonly sdkMetricsAddress?: string | undefined;
  /** As host:port: where nothing is sent, besides Temporal and the worker's own ports. */
  readonly neverTo?: readonly string[] | undefined;
}

export interface RunningWorker {
  /** Rejects when the worker fails by itself; pending while it runs, and forever once it was shut down. */
  readonly failed: Promise<never>;
  /** Name and build id of its deployment; absent when it is unversioned. */
  readonly deploymentVersion?: string;
  /** The URL to scrape; absent when no metrics are configured. */
  readonly metricsUrl?: string;
  /** Accepts no more work, lets requests in flight end, then closes everything. */
  shutdown(): Promise<void>;
}

/** Longer than a request may take, so that a clean shutdown cuts none off and nothing is sent twice because of it. */
const SHUTDOWN_MARGIN_MS = 10_000;

/** For the results of requests that ended last. Compose and the chart leave it 10 s more, to close what is open. */
const FORCE_MARGIN_MS = 5_000;

/** How often, in ms, it looks up the addresses of Temporal, so that nothing is sent there. */
const OWN_PLACES_MS = 30_000;

/** The default port of a Temporal server's HTTP API. */
const TEMPORAL_HTTP_PORT = 7243;

/**
 * Wires up a worker (configuration to source, authorizations and connections, and these to activities) and runs it.
 *
 * @throws ConfigError when no source is configured, alerts or tokens go where nothing may be sent, or metrics cannot be served where they should
 * @throws the SDK's TransportError when no server answers, and its NamespaceNotFoundError
 */
export async function startWorker(options: StartWorkerOptions): Promise<RunningWorker> {
  checkDestinations(options.config);
  const opened = new OpenResources();
  try {
    return await startOpening(opened, options);
  } catch (error) {
    // Only the reason why it could not start matters, not failures while closing.
    await opened.close().catch(() => undefined);
    throw error;
  }
}

/** Resources opened so far. They are closed in reverse order, even if one fails to close: nothing may keep the process from ending. */
export class OpenResources {
  readonly #closes: (() => unknown)[] = [];

  with<T>(one: T, close: (one: T) => unknown): T {
    this.#closes.push(() => close(one));
    return one;
  }

  /** Rejects with the first failure to close. */
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

async function startOpening(opened: OpenResources, options: StartWorkerOptions): Promise<RunningWorker> {
  const { sdkMetricsAddress, config, readConfig } = options;
  const { taskQueue } = config;
  const { namespace } = options.connection;
  const log = Runtime.instance().logger;
  const readiness = new Readiness();
  const problem = () => readiness.problem();
  const served =
    config.metrics &&
    opened.with(await serveMetrics({ config: config.metrics, sdkMetricsAddress, log, problem }), (one) => one.close());
  const dataConverter = dataConverterWith(config.payloadKeys);
  const code = bundledCode(options.workflowBundle, dataConverter);
  const deployment = workerDeployment(config, code.workflowBundle);
  const connection = await connectTo(opened, options.connection);
  const client = new Client({ connection, namespace, dataConverter });
  const identity = newIdentity();
  const source = await openedSource(opened, options);
  const tracing = opened.with(await openTracing(config, log), (one) => one?.close());
  const logOptions = { config, identity, client, log, counts: served?.metrics };
  const deliveryLog = opened.with(openWorkerLog(logOptions), (one) => one?.close());
  const alerts = alertSettings(config.alerts);
  const queueAlerts = alertQueue(client, taskQueue);
  const world = await openWorld(opened, options, {
    keeps: deliveryLog?.keeps,
    metricsUrl: served?.url,
    tokenFetched: served && ((isFetched) => served.metrics.tokenFetched(isFetched)),
  });
  const dependencies: ActivityDependencies = {
    ...world,
    ...temporalPorts(client, taskQueue),
    source,
    missingSearchAttributes: () => missingSearchAttributes(connection, namespace),
    ...(served && { metrics: served.metrics, source: served.measured(source) }),
    tracing,
    deliveryLog: deliveryLog?.deliveryLog,
    toldLog: deliveryLog?.toldLog,
    shapes: TEMPLATED_SHAPES,
    alerts,
    queueAlerts,
    subscribers: new TemporalSubscribers(client, taskQueue),
    describeWorker: async () =>
      describeWorker({
        worker: THIS_WORKER,
        ...options,
        hasDeliveryLog: deliveryLog !== undefined,
        folders: [deliveryLog?.folder, config.watch.folder].filter((folder) => folder !== undefined),
        authorizations: reload?.current() ?? config.authorizations,
        fingerprints: await world.authorizations.fingerprints(taskQueue),
        readiness,
      }),
  };
  const missingKeys = new MissingKeys({
    log,
    raise: alerts && ((raised) => queueAlerts(alertsWorkflowId(raised), [raised])),
  });
  const worker = await Worker.create({
    ...runningLimits(config),
    connection,
    identity,
    namespace,
    taskQueue,
    ...code,
    ...(deployment === undefined ? {} : { workerDeploymentOptions: deployment.options }),
    dataConverter: workerDataConverterWith(config.payloadKeys, (...key) => missingKeys.note(...key)),
    sinks: sinksTo(missingKeys, dependencies.deliveryLog),
    activities: createActivities(dependencies),
  });
  opened.with(served?.askJobs(client, taskQueue), (end) => end?.());
  const reload =
    readConfig && opened.with(reloadWith(readConfig, config, world.authorizations), (reloading) => reloading.end());
  const outside = { client, taskQueue, isSent: alerts !== undefined, log };
  opened.with(new OutsideAlerts(outside), (one) => one.close());
  const running = run(worker, opened, readiness);
  readiness.begin({
    isPolling: () => isPolling(worker),
    temporalProblem: async () => (await temporalProblem(client))?.message,
    // Not the measured source: metrics count only calls for jobs.
    sourceAnswers: () => answersOf(source),
    configProblem: () => reload?.problem(),
    payloadKeyProblem: () => missingKeys.problem(),
    logProblem: async () => await deliveryLog?.problem(),
  });
  return {
    ...running,
    ...(deployment === undefined ? {} : { deploymentVersion: deployment.version }),
    ...(served === undefined ? {} : { metricsUrl: served.url }),
  };
}

function sinksTo(missingKeys: MissingKeys, log: DeliveryLog | undefined): InjectedSinks<WorkerSinks> {
  return {
    deeds: {
      done: {
        // A task that is done again tells it again, and so does a job's run after one of 0.1.0, which forgets what was told. A job numbers its deeds in
        // all of its runs together. Ids are in the order of deeds.
        fn: ({ runId, firstExecutionRunId }, n, deed) =>
          log?.deedDone(`${deed.kind === 'job' ? firstExecutionRunId : runId} ${String(n).padStart(9, '0')}`, deed),
      },
    },
    payloadKeys: {
      missing: {
        fn: ({ workflowId, workflowType }, reason) => {
          // No job waits for a key that only somebody's question is encrypted with.
          if (workflowType !== WORKER_RPC) missingKeys.note(workflowId, reason);
        },
        callDuringReplay: true,
      },
    },
  };
}

async function connectTo(
  opened: OpenResources,
  { connectionOptions, namespace }: ConnectConfig,
): Promise<NativeConnection> {
  const connection = opened.with(await NativeConnection.connect(connectionOptions), (one) => one.close());
  await checkNamespace(connection, namespace);
  return connection;
}

/**
 * The SDK's worker reports a missing namespace, or a role without permission, only in the text of an error or not at all. It then also leaves something
 * behind that keeps the process from ending.
 * @throws NamespaceNotFoundError, NotLetIn
 */
async function checkNamespace(connection: NativeConnection, namespace: string): Promise<void> {
  if (!(await hasNamespace(connection, namespace))) throw new NamespaceNotFoundError(namespace);
  const refusal = await notLetIn(connection, namespace);
  if (refusal !== undefined) throw refusal;
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

const logProblem = (text: string): void => Runtime.instance().logger.warn(text);

async function openedSource(opened: OpenResources, { config, source }: StartWorkerOptions): Promise<AudienceSource> {
  if (source !== undefined) return source;
  const { network } = config;
  return opened.with(await openSource(configuredSource(config), { network, onProblem: logProblem }), (one) =>
    one.close(),
  );
}

/** Features ask for this, or are told of it. */
interface WorldOptions {
  /** The requests that are kept, as they were sent. Default: none. */
  readonly keeps?: PosterOptions['keeps'];
  /** A URL of the worker itself, where nothing is sent. */
  readonly metricsUrl?: string | undefined;
  readonly tokenFetched?: ((isFetched: boolean) => void) | undefined;
}

/** Opens what activities use outside of Temporal, as configured, beside the source: the wire, and the clock of the machine. */
async function openWorld(
  opened: OpenResources,
  options: StartWorkerOptions,
  { keeps, metricsUrl, tokenFetched }: WorldOptions,
) {
  const { config } = options;
  const { network, requestTimeoutMs } = config;
  const own = new OwnPlaces(ownPlaces(options, metricsUrl));
  await own.lookUp();
  opened.with(setInterval(() => void own.lookUp(), OWN_PLACES_MS).unref(), (timer) => clearInterval(timer));
  const policy = new NetworkPolicy(network, own);
  const agentOptions = { timeoutMs: requestTimeoutMs, policy };
  const poster = opened.with(
    createPoster({ agents: new GuardedAgents(agentOptions), timeoutMs: requestTimeoutMs, keeps }),
    (one) => one.close(),
  );
  const tokenAgents = opened.with(new GuardedAgents(agentOptions), (one) => one.close());
  const stalls = opened.with(new StallDetector(), (one) => one.close());
  return {
    poster,
    authorizations: new ConfiguredAuthorizations(config.authorizations, tokenAgents, tokenFetched),
    destinationRefusal: (url: URL) => refusalBeforehand(policy, url),
    hasStalled: () => stalls.hasStalled(),
    worker: THIS_WORKER,
    userAgent: `audience-triggers/${release()}`,
    logsAttempts: config.logLevel === 'debug',
    requestTimeoutMs,
    alertBacklogMs: config.alerts.backlogMinutes * 60_000,
    serverLimits: config.serverLimits,
    watchFolder: config.watch.folder,
  };
}

function ownPlaces({ connection, sdkMetricsAddress, neverTo = [] }: StartWorkerOptions, metricsUrl?: string): string[] {
  const [, host = '', port = '7233'] = /^(?:[a-z]+:\/+)?(.*?)(?::(\d+))?$/.exec(addressOf(connection)) ?? [];
  const places = [`${host}:${port}`, `${host}:${TEMPORAL_HTTP_PORT}`, ...neverTo];
  if (sdkMetricsAddress !== undefined) places.push(sdkMetricsAddress);
  if (metricsUrl !== undefined) places.push(new URL(metricsUrl).host);
  return places;
}

/** How much the worker does at once, and how long it waits. */
export function runningLimits({ maxConcurrentSlices, requestTimeoutMs }: Config) {
  return {
    // As many as a job has slices; the workflow decides which of them may start eagerly.
    maxEagerActivityReservationsPerWorkflowTask: SLICES,
    maxConcurrentActivityTaskExecutions: maxConcurrentSlices,
    // By default, heartbeats are 0.8 × the timeout apart: too far to resume close to where a killed worker was.
    maxHeartbeatThrottleInterval: '1 second',
    // How long a job's next task waits for a dead worker; the default is twice as long.
    stickyQueueScheduleToStartTimeout: '5 seconds',
    shutdownGraceTime: requestTimeoutMs + SHUTDOWN_MARGIN_MS,
    // Otherwise a worker waits for its polls for as long as Temporal does not answer.
    shutdownForceTime: requestTimeoutMs + SHUTDOWN_MARGIN_MS + FORCE_MARGIN_MS,
    // Not in the SDK's types. An activation that takes longer by the clock ends the whole process (Node: "async hook stack has become
    // corrupted"). The default is 5 s: a machine that stands still for that long in an activation would kill its worker.
    isolateExecutionTimeout: '1 minute',
  } as const;
}

/** Reloads authorizations that change while the worker runs. */
function reloadWith(
  readConfig: () => Config,
  config: Config,
  authorizations: ConfiguredAuthorizations,
): AuthorizationsReload {
  return reloadAuthorizations({
    read: () => {
      const { authorizations: changed } = readConfig();
      // Nothing else is reloaded, so they must fit the configuration that the worker began with.
      checkDestinations({ ...config, authorizations: changed });
      return changed;
    },
    initial: config.authorizations,
    replace: (changed) => authorizations.replace(changed),
    log: Runtime.instance().logger,
  });
}

function isPolling(worker: Worker): boolean {
  const { runState, workflowPollerState, activityPollerState } = worker.getStatus();
  return runState === 'RUNNING' && workflowPollerState === 'POLLING' && activityPollerState === 'POLLING';
}

function run(worker: Worker, opened: OpenResources, readiness: Readiness): Pick<RunningWorker, 'failed' | 'shutdown'> {
  const running = worker.run();
  const failed = new Promise<never>((_, reject) => {
    running.catch(reject);
  });
  failed.catch(() => undefined); // Callers may await it, but need not.
  return {
    failed,
    shutdown: async () => {
      readiness.end();
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running.catch(() => undefined);
      await opened.close();
    },
  };
}
