import type { Client } from '@temporalio/client';
import { type ApiServer, type ApiServerOptions, startServer } from '../api/api-server.ts';
import { consoleRoutes } from '../api/console-routes.ts';
import { deadLetterRoutes } from '../api/dead-letter-routes.ts';
import { Decisions } from '../api/decisions.ts';
import { deliveryRoutes } from '../features/delivery-log/routes.ts';
import { healthRoutes } from '../features/doctor/routes.ts';
import { IdempotencyStore } from '../api/idempotency-store.ts';
import { jobRoutes } from '../api/job-routes.ts';
import { overviewRoutes, SharedOverview } from '../api/overview-routes.ts';
import { questionRoutes } from '../api/question-routes.ts';
import { reconcileRoutes } from '../features/reconcile/routes.ts';
import { replayRoutes } from '../features/replay/routes.ts';
import { serviceRoutes } from '../api/service-routes.ts';
import { sessionRoutes } from '../api/session-routes.ts';
import { streamRoutes } from '../api/stream-routes.ts';
import { triggerRoutes } from '../api/trigger-routes.ts';
import { watchRoutes } from '../features/watch/routes.ts';
import type { ExportJobs } from './export-jobs.ts';
import type { ConnectConfig } from '../client/calls/connect.ts';
import { findHealth } from '../features/doctor/health.ts';
import type { LoggedDeed } from '../contract/audit.ts';
import type { DeliveryReader } from '../features/delivery-log/delivery-reader.ts';
import { expiryWarnings } from '../features/doctor/expiry-warnings.ts';
import { keyEnds } from '../features/doctor/findings.ts';
import type { ConfiguredIngests } from '../features/ingests/config.ts';
import { ingestRoutes } from '../features/ingests/routes.ts';
import { IngestRecords, Ingests } from '../features/ingests/senders.ts';
import { previewRoutes } from '../features/preview/routes.ts';
import { traceRoutes } from '../features/trace/routes.ts';
import { recoverRoutes } from '../features/recover/routes.ts';

export interface ApiOptions extends Omit<ApiServerOptions, 'jobs' | 'routes' | 'onKeys' | 'onClosing' | 'isLogged'> {
  readonly jobs: ExportJobs;
  readonly client: Client;
  /** How the client is connected, for its certificate. Default: without one. */
  readonly connection?: ConnectConfig;
  /** Senders whose own requests are accepted (docs/ingests.md). Default: none. */
  readonly ingests?: ConfiguredIngests;
  /** Where the Temporal UI shows a workflow, without the workflow's id, which is appended. */
  readonly temporalWorkflowsUrl?: string | undefined;
  /** The delivery log; absent: there is none. */
  readonly deliveries?: DeliveryReader | undefined;
  /**
   * Called when somebody signs in to the console, is refused, or signs out, and with each decision about many dead letters. A deed with a known id takes
   * the place of the one before. Absent: there is no delivery log.
   */
  readonly onDeed?: ((deed: LoggedDeed, id?: string) => void) | undefined;
  /** Why the current configuration cannot be used, for people; undefined when it can. The previous one stays in use. */
  readonly configProblem?: () => string | undefined;
}

export interface Api extends ApiServer {
  /** Accepts these senders from now on, and no others. */
  replaceIngests(ingests: ConfiguredIngests): void;
}

/**
 * Starts the HTTP API: the features of the client and the command line, for programs in any language.
 * @throws ApiKeysNeeded; the error from listening
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { client, jobs, taskQueue, deliveries, log, now = Date.now } = options;
  const { connection = { connectionOptions: {}, namespace: client.options.namespace } } = options;
  const ingests = new Ingests(options.ingests ?? {}, log);
  const decisions = new Decisions(jobs.deadLetters, options.onDeed);
  const overview = new SharedOverview(async () => await jobs.overview({ lastHour: true }));
  const server = await startServer({
    ...options,
    onKeys: expiryWarnings(log, now),
    onClosing: async () => await decisions.stop(),
    isLogged: async (jobId) => (await deliveries?.hasJob(jobId)) ?? false,
    routes(app, parts) {
      const { intake, metrics, keys, closing, clock, mayStill } = parts;
      triggerRoutes(app, {
        ...intake,
        repeats: new IdempotencyStore(clock),
        closing,
        onTakenIn: (takenIn) => metrics.takenIn(takenIn),
      });
      // Some senders use one id for several changes: dropping one of them would lose it.
      const records = new IngestRecords(metrics, log);
      ingestRoutes(app, { intake, ingests, repeats: new IdempotencyStore(clock, Date.now, 'act'), records });
      const onChange = (): void => {
        intake.directory.forget();
        overview.forget();
      };
      jobRoutes(app, { jobs, onChange });
      recoverRoutes(app, { jobs, onChange });
      reconcileRoutes(app, jobs, closing);
      replayRoutes(app, jobs);
      streamRoutes(app, { jobs, closing, mayStill });
      deadLetterRoutes(app, jobs, decisions);
      deliveryRoutes(app, { deliveries, log, jobs, closing, mayStill });
      questionRoutes(app, jobs);
      traceRoutes(app, jobs, { deliveries, log });
      previewRoutes(app, jobs);
      watchRoutes(app, jobs);
      overviewRoutes(app, { jobs, overview });
      healthRoutes(app, () => findHealth(client, { taskQueue, connection, expiring: keyEnds(keys.list()) }));
      sessionRoutes(app, { ...options, ...parts });
      serviceRoutes(app, { ...options, metrics });
      consoleRoutes(app, parts.page);
    },
  });
  return {
    ...server,
    replaceIngests: (configured) => ingests.replace(configured),
    async close() {
      await server.close();
      await ingests.close();
    },
  };
}
