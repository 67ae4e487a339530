import { setMaxListeners } from 'node:events';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Client } from '@temporalio/client';
import type { ExportJobs } from '../client/export-jobs.ts';
import { jobDirectory } from '../client/push/job-directory.ts';
import { jobSignals } from '../client/jobs/job-service.ts';
import { GroupedSignals } from '../client/push/job-pusher.ts';
import { unless } from '../client/push/with-retries.ts';
import { createPushClock } from '../client/push/push.ts';
import type { ConfiguredApiKeys, ConfiguredIngests, Right } from '../config/ingest-config.ts';
import { stringifyJson } from '../domain/json.ts';
import { isLoopback } from '../domain/origin-check.ts';
import { ApiKeys, type Caller, Callers, rejectCrossSite, rejectForeignOrigin, Sessions } from './callers.ts';
import { ApiMetrics, serviceRoutes } from './service-routes.ts';
import { readBodies } from './bodies.ts';
import { ConsoleFiles, consoleRoutes } from './console-routes.ts';
import { deadLetterRoutes } from './dead-letter-routes.ts';
import { document } from './document.ts';
import {
  answerConnection,
  answerFailures,
  answerUnreadable,
  Closing,
  ClosingMeanwhile,
  methodsOf,
  NoSuchPath,
  NotThisJob,
  Refused,
  refuseOtherMethods,
} from './refusal.ts';
import { inTime } from './operation.ts';
import { ingestRoutes } from './ingest-routes.ts';
import { IngestRecords, Ingests } from './ingests.ts';
import type { IntakeWorld } from './intake.ts';
import { jobRoutes } from './job-routes.ts';
import { overviewRoutes, SharedOverview } from './overview-routes.ts';
import { questionRoutes } from './question-routes.ts';
import { reconcileRoutes } from './reconcile-routes.ts';
import { IdempotencyStore } from './idempotency-store.ts';
import { newToken, sessionRoutes } from './session-routes.ts';
import { streamRoutes } from './stream-routes.ts';
import { triggerRoutes } from './trigger-routes.ts';
import { watchRoutes } from './watch-routes.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when what is under way has had its time since the API is being ended. */
    over: AbortSignal;
  }
  interface FastifyRequest {
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** What a caller must be allowed to do, all of it; absent: nothing, not even to have a key. */
    right?: Right | readonly Right[];
    /** The route checks its callers itself. */
    guardsItself?: boolean;
  }
}

export interface ApiServerOptions {
  readonly client: Client;
  readonly jobs: ExportJobs;
  readonly taskQueue: string;
  readonly keys: ConfiguredApiKeys;
  /** Senders whose own requests are taken (docs/ingests.md). Default: none. */
  readonly ingests?: ConfiguredIngests;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Whether there is a page to read and try it, at `/docs`. Default: yes. */
  readonly page?: boolean;
  /** Where the console was built. Default: in lib/. */
  readonly consoleFolder?: string;
  /** Where the Temporal UI shows a workflow, without the workflow's id, which goes behind it. */
  readonly temporalWorkflowsUrl?: string | undefined;
  /** Epoch ms, for sessions of the console. Default: the system's clock. */
  readonly now?: () => number;
  /** Why the configuration, as it is now, cannot be used, for whoever asks; undefined when it can. What was before stays. */
  readonly configProblem?: () => string | undefined;
  /** Connections that may be open at a time. Default: 10,000. */
  readonly mostConnections?: number;
  readonly log: Readonly<Record<'error' | 'warn', (fields: object, message: string) => void>>;
}

export interface ApiServer {
  /** `http://127.0.0.1:7280` */
  readonly url: string;
  /** Accepts nothing new; resolves once open requests are answered, after 7 s with "not done in time". */
  close(): Promise<void>;
  /** Where the console is; with keys, a link that signs in whoever opens it first, within ten minutes. It replaces the one before. */
  invite(): string;
  /** Uses these keys from now on. Removing all of them refuses everybody. */
  replaceKeys(keys: ConfiguredApiKeys): void;
  /** Listens to these senders from now on, and to no others. */
  replaceIngests(ingests: ConfiguredIngests): void;
}

/** Longest wait, in ms, for Temporal or a job to take what a caller waits for; the caller can ask again. */
const PATIENCE_MS = 10_000;
/** The same, for what hangs without an error. */
const SIGNAL_MS = 15_000;
/** How long, in ms, what is under way when the API is to end may take. */
const GRACE_MS = 7_000;
/** A connection on which nothing happens for this long, in ms, is closed. */
const SILENT_MS = 180_000;
/** Headers that have not come to their end after this many ms are not waited for. */
const HEADERS_MS = 10_000;
/** How often, in ms, connections are checked for that; by default Node checks every 30 s. */
const LOOK_MS = 1_000;
const MOST_CONNECTIONS = 10_000;

/** Without keys, nobody but this machine is served. */
export class ApiKeysNeeded extends Error {
  override readonly name = 'ApiKeysNeeded';
  constructor(host: string) {
    super(
      `There are no API keys, so the API listens on this machine only, and not on ${host}. Make one with: triggers secrets new --api-key`,
    );
  }
}

/**
 * The HTTP API: what the client and the command line can do, for programs in any language.
 * @throws ApiKeysNeeded; the error from listening
 */
export async function startApi(options: ApiServerOptions): Promise<ApiServer> {
  const { client, taskQueue, host, port } = options;
  const keys = new ApiKeys(options.keys);
  if (keys.isOpen && !isLoopback(host)) throw new ApiKeysNeeded(host);
  const app = fastify({
    forceCloseConnections: 'idle',
    connectionTimeout: SILENT_MS,
    requestTimeout: 0,
    routerOptions: { maxParamLength: 500, ignoreTrailingSlash: false },
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: LOOK_MS },
    clientErrorHandler: answerConnection,
    frameworkErrors: answerUnreadable,
    return503OnClosing: false, // It is answered as everything else is.
  });
  const page = await ConsoleFiles.load(options.consoleFolder);
  answerFailures(app, options.log, page);
  const served = methodsOf(app);
  await document(app, options.page ?? true);
  app.server.maxConnections = options.mostConnections ?? MOST_CONNECTIONS;
  app.decorateRequest('caller', undefined as never);
  // What is answered while it closes is the last on its connection, which would be kept open otherwise.
  const closing = new AbortController();
  const over = new AbortController();
  // Each request under way adds a listener.
  setMaxListeners(0, over.signal);
  app.decorate('over', over.signal);
  app.addHook('onRequest', (_request, _reply, done) => {
    closing.signal.throwIfAborted();
    done();
  });
  const metrics = new ApiMetrics();
  app.addHook('onResponse', (request, reply, done) => {
    metrics.answered(request.routeOptions.url, reply.statusCode, reply.elapsedTime);
    done();
  });
  const { now = Date.now } = options;
  const sessions = new Sessions();
  const callers = new Callers(keys, sessions, now);
  guard(app, keys, callers, metrics);
  // Before any body is read.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.is404 && !page.isFor(request)) throw new NoSuchPath(request);
    done();
  });
  readBodies(app);
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing.signal.aborted) reply.header('connection', 'close');
    done();
  });
  // Bodies are checked by what reads them, with all problems at once; answers are what the client gives.
  app.setValidatorCompiler(() => (value: unknown) => ({ value }));
  app.setSerializerCompiler(() => stringifyJson);
  app.setReplySerializer((payload) => (typeof payload === 'string' ? payload : stringifyJson(payload as object)));
  const clock = createPushClock();
  const grouped = new GroupedSignals((jobId) => jobSignals(client, jobId), PATIENCE_MS);
  const directory = jobDirectory(client, taskQueue, over.signal);
  const intake: IntakeWorld = {
    directory,
    signal: async (jobId, triggers) => await inTime(SIGNAL_MS, unless(over.signal, grouped.signal(jobId, triggers))),
  };
  triggerRoutes(app, {
    ...intake,
    repeats: new IdempotencyStore(clock),
    closing: closing.signal,
    onTakenIn: (takenIn) => metrics.takenIn(takenIn),
  });
  const ingests = new Ingests(options.ingests ?? {}, options.log);
  // Some senders have one id for several changes: to drop one of them would lose it.
  const records = new IngestRecords(metrics, options.log);
  ingestRoutes(app, { intake, ingests, repeats: new IdempotencyStore(clock, Date.now, 'act'), records });
  const overview = new SharedOverview(async () => await options.jobs.overview({ lastHour: true }));
  const onChange = (): void => {
    directory.forget();
    overview.forget();
  };
  jobRoutes(app, { jobs: options.jobs, onChange });
  reconcileRoutes(app, options.jobs, closing.signal);
  const mayStill = (request: FastifyRequest, jobId: string): boolean => {
    const caller = callers.of(request);
    return caller?.may('read') === true && caller.mayJob(jobId);
  };
  streamRoutes(app, { jobs: options.jobs, closing: closing.signal, mayStill });
  deadLetterRoutes(app, options.jobs);
  questionRoutes(app, options.jobs);
  watchRoutes(app, options.jobs);
  overviewRoutes(app, { jobs: options.jobs, overview, ingests, records });
  sessionRoutes(app, { keys, sessions, callers, now, temporalWorkflowsUrl: options.temporalWorkflowsUrl });
  serviceRoutes(app, { ...options, metrics });
  consoleRoutes(app, page);
  await app.after(); // What is registered as a plugin is known then.
  refuseOtherMethods(app, served);
  await app.listen({ host, port });
  const [address] = app.addresses() as AddressInfo[]; // It listens at a port, and at no socket.
  const shown = address?.family === 'IPv6' ? `[${address.address}]` : (address?.address ?? host);
  const close = async (): Promise<void> => {
    closing.abort(new Closing());
    const late = setTimeout(() => over.abort(new ClosingMeanwhile()), GRACE_MS);
    await app.close();
    clearTimeout(late);
    await ingests.close();
  };
  const url = `http://${shown}:${address?.port ?? port}`;
  const invite = (): string => {
    if (keys.isOpen) return `${url}/`;
    const token = newToken();
    sessions.offerLink(token, now());
    // Behind the #, so that no request and no log has it.
    return `${url}/#token=${token}`;
  };
  return {
    url,
    close,
    invite,
    replaceKeys: (configured) => keys.replace(configured),
    replaceIngests: (configured) => ingests.replace(configured),
  };
}

function guard(app: FastifyInstance, keys: ApiKeys, callers: Callers, metrics: ApiMetrics): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    const { right, guardsItself = false } = request.routeOptions.config;
    if (guardsItself) return done();
    if (keys.isOpen) rejectForeignOrigin(request);
    // A page cannot send a key that it does not have.
    else if (request.headers.authorization === undefined) rejectCrossSite(request);
    if (right === undefined) return done();
    const caller = callers.serving(request);
    if (caller === undefined)
      throw new Refused(
        401,
        'NotAuthorized',
        'The API key is missing or wrong: "authorization: Bearer <key>". In the console, the session has ended.',
        {
          headers: { 'www-authenticate': 'Bearer' },
        },
      );
    const lacking = [right].flat().find((one) => !caller.may(one));
    if (lacking !== undefined)
      throw new Refused(403, 'NotAllowed', `This API key may not do that: it lacks the right "${lacking}".`);
    // Whatever serves it: a path or a query that names a job of others must not tell whether there is one.
    const { job } = request.params as { readonly job?: string };
    const { jobId } = request.query as { readonly jobId?: unknown };
    for (const named of [job, jobId])
      if (typeof named === 'string' && !caller.mayJob(named)) throw new NotThisJob(named);
    if (caller.name !== undefined) metrics.keyUsed(caller.name);
    request.caller = caller;
    done();
  });
}
