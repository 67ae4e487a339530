import { setMaxListeners } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Client } from '@temporalio/client';
import type { JobClient } from '../client/job-client.ts';
import { jobDirectory } from '../client/push/job-directory.ts';
import { jobSignals } from '../client/push/signal-sender.ts';
import { GroupedSignals } from '../client/push/job-pusher.ts';
import { unless } from '../client/calls/with-retries.ts';
import { createPushClock, type PushClock } from '../client/push/push.ts';
import type { ConfiguredApiKeys, Right } from '../config/api-keys.ts';
import { stringifyJson } from '../domain/json.ts';
import { isLoopback } from '../http/origin-check.ts';
import { ApiKeys, type Caller, Callers, rejectCrossSite, rejectForeignOrigin, Sessions } from './callers.ts';
import { ApiMetrics } from './service-routes.ts';
import { readBodies } from './bodies.ts';
import { ConsoleFiles } from './console-routes.ts';
import { document } from './document.ts';
import {
  answerConnection,
  answerFailures,
  answerUnreadable,
  methodsOf,
  noSuchPath,
  notDoneInTime,
  keyLacksJob,
  Refused,
  refuseOtherMethods,
  shuttingDown,
} from './refusal.ts';
import { inTime } from './operation.ts';
import type { IntakeWorld } from './intake.ts';
import { newToken } from './session-routes.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when requests under way have used up their time after the API began to shut down. */
    over: AbortSignal;
  }
  interface FastifyRequest {
    caller: Caller;
    /** Ends its share of the requests that its caller may have at a time. */
    leave?: (() => void) | undefined;
  }
  interface FastifyContextConfig {
    /** The rights that a caller needs, all of them; absent: none, and not even a key. */
    right?: Right | readonly Right[];
    /** The route checks its callers itself. */
    guardsItself?: boolean;
  }
}

export interface ApiServerOptions {
  readonly client: Client;
  readonly jobs: JobClient;
  readonly taskQueue: string;
  readonly keys: ConfiguredApiKeys;
  /** Called with the keys: at the start, and when they are replaced. */
  readonly onKeys?: (keys: ApiKeys) => void;
  /** Adds the routes. */
  readonly routes: (app: FastifyInstance, parts: ApiParts) => void;
  /** Called before the server closes, which waits for it within the time of requests under way. */
  readonly onClosing?: () => Promise<void>;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Whether there is a page at `/docs` to read about the API and try it. Default: yes. */
  readonly page?: boolean;
  /** Where the console was built. Default: in lib/. */
  readonly consoleFolder?: string;
  /** Epoch ms, for sessions of the console. Default: the system's clock. */
  readonly now?: () => number;
  /** Whether the delivery log has a job that Temporal no longer knows. Default: no. */
  readonly isLogged?: (jobId: string) => Promise<boolean>;
  /** Connections that may be open at a time. Default: 10,000. */
  readonly mostConnections?: number;
  readonly log: Readonly<Record<'error' | 'warn', (fields: object, message: string) => void>>;
}

export interface ApiServer {
  /** `http://127.0.0.1:7280` */
  readonly url: string;
  /** Accepts nothing new. Resolves once open requests are answered, after 7 s with "not done in time". */
  close(): Promise<void>;
  /**
   * Returns the console's URL. With keys, it is a link that signs in the first person to open it, within ten minutes. It replaces the previous link.
   */
  invite(): string;
  /** Uses these keys from now on. Removing all of them refuses everybody. */
  replaceKeys(keys: ConfiguredApiKeys): void;
}

/** The parts of the server that routes share. */
export interface ApiParts {
  readonly keys: ApiKeys;
  readonly sessions: Sessions;
  readonly callers: Callers;
  readonly metrics: ApiMetrics;
  /** Takes in triggers. */
  readonly intake: IntakeWorld;
  readonly page: ConsoleFiles;
  /** Gives a time to triggers without one. */
  readonly clock: PushClock;
  /** Epoch ms. */
  readonly now: () => number;
  /** Aborted when the server begins to close. */
  readonly closing: AbortSignal;
  /** Tells whether a caller may still read a stream. */
  readonly mayStill: (request: FastifyRequest, jobId?: string) => boolean;
}

/** Longest wait, in ms, until Temporal or a job has done what a caller waits for; the caller can ask again. */
const PATIENCE_MS = 10_000;
/** The same, for calls that hang without an error. */
const SIGNAL_MS = 15_000;
/** The time, in ms, that requests under way have when the API shuts down. */
const GRACE_MS = 7_000;
/** A connection on which nothing happens for this long, in ms, is closed. */
const SILENT_MS = 180_000;
/** After this many ms the API stops waiting for a connection's first request, and for the end of a request's headers. */
const HEADERS_MS = 10_000;
/** Most requests of a connection at a time. */
const PIPELINED = 16;
/** For so long, in ms, the request of a caller who has gone counts as one under way. */
const GONE_MS = 15_000;
/** How often, in ms, connections are checked for both; by default Node checks every 30 s. */
const LOOK_MS = 1_000;
const MOST_CONNECTIONS = 10_000;

/** Without keys, only this machine is served. */
class ApiKeysNeeded extends Error {
  override readonly name = 'ApiKeysNeeded';
  constructor(host: string) {
    super(
      `There are no API keys, so the API listens on this machine only, and not on ${host}. Make one with: triggers secrets new --api-key`,
    );
  }
}

/**
 * Starts the server of the HTTP API, with the routes that it is given.
 * @throws ApiKeysNeeded; the error from listening
 */
export async function startServer(options: ApiServerOptions): Promise<ApiServer> {
  const { client, taskQueue, host, port } = options;
  const { now = Date.now } = options;
  const keys = new ApiKeys(options.keys, now);
  if (keys.isOpen && !isLoopback(host)) throw new ApiKeysNeeded(host);
  options.onKeys?.(keys);
  const app = fastify({
    forceCloseConnections: 'idle',
    connectionTimeout: SILENT_MS,
    requestTimeout: 0,
    routerOptions: { maxParamLength: 500, ignoreTrailingSlash: false },
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: LOOK_MS },
    clientErrorHandler: answerConnection,
    frameworkErrors: answerUnreadable,
    return503OnClosing: false, // It is answered like every other request.
  });
  const page = await ConsoleFiles.load(options.consoleFolder);
  answerFailures(app, options.log, page, options.jobs, options.isLogged ?? (async () => await Promise.resolve(false)));
  const served = methodsOf(app);
  await document(app, options.page ?? true);
  app.server.maxConnections = options.mostConnections ?? MOST_CONNECTIONS;
  const closeUnused = unusedConnections(app.server);
  endPipelines(app);
  app.decorateRequest('caller', undefined as never);
  app.decorateRequest('leave', undefined);
  // An answer during closing is the last one on its connection, which would otherwise stay open.
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
  const sessions = new Sessions();
  const callers = new Callers(keys, sessions, now);
  guard(app, { keys, callers, metrics, now });
  // This runs before any body is read.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.is404 && !page.isFor(request)) throw noSuchPath(request);
    done();
  });
  readBodies(app);
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing.signal.aborted) reply.header('connection', 'close');
    done();
  });
  // The code that reads a body checks it, with all problems at once. Answers are the client's.
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
  const mayStill = (request: FastifyRequest, jobId?: string): boolean => {
    const caller = callers.of(request);
    return caller?.may('read') === true && (jobId === undefined || caller.mayJob(jobId));
  };
  options.routes(app, {
    keys,
    sessions,
    callers,
    metrics,
    intake,
    page,
    clock,
    now,
    closing: closing.signal,
    mayStill,
  });
  await app.after(); // After this, routes registered by plugins are known, too.
  refuseOtherMethods(app, served);
  await app.listen({ host, port });
  const [address] = app.addresses() as AddressInfo[]; // It listens on a port, not on a socket.
  const shown = address?.family === 'IPv6' ? `[${address.address}]` : (address?.address ?? host);
  const close = async (): Promise<void> => {
    closing.abort(shuttingDown());
    closeUnused();
    const late = setTimeout(() => over.abort(notDoneInTime()), GRACE_MS);
    await unless(over.signal, Promise.resolve(options.onClosing?.())).catch(() => undefined);
    await app.close();
    clearTimeout(late);
  };
  const url = `http://${shown}:${address?.port ?? port}`;
  const invite = (): string => {
    if (keys.isOpen) return `${url}/`;
    const token = newToken();
    sessions.offerLink(token, now());
    // It is behind the #, which appears in no request and no log.
    return `${url}/#token=${token}`;
  };
  return {
    url,
    close,
    invite,
    replaceKeys: (configured) => {
      keys.replace(configured);
      options.onKeys?.(keys);
    },
  };
}

/** Returns a function that closes connections without a request so far: browsers open some beforehand, and Node does not count them as idle. */
function unusedConnections(server: Server): () => void {
  const unused = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }) => unused.delete(socket));
  return () => unused.forEach((socket) => socket.destroy());
}

/** Counts a request until it is answered. @throws Refused when its caller has too many */
function enter(request: FastifyRequest, { raw }: FastifyReply, { usage }: Caller): void {
  const leave = usage?.openRequest();
  request.leave = leave;
  // The work for a caller who has gone may go on.
  raw.once('close', () => leave && !raw.writableFinished && setTimeout(leave, GONE_MS).unref());
}

/**
 * Ends connections with many requests at once. Programs wait for an answer before they ask again. The answers to those who never read them would
 * fill the memory.
 */
function endPipelines(app: FastifyInstance): void {
  const open = new WeakMap<Socket, number>();
  const count = (socket: Socket, more: number): number => {
    const all = (open.get(socket) ?? 0) + more;
    open.set(socket, all);
    return all;
  };
  app.addHook('onRequest', ({ raw: { socket } }, reply, done) => {
    reply.raw.once('close', () => count(socket, -1));
    if (count(socket, 1) <= PIPELINED) return done();
    socket.destroy();
    reply.hijack();
  });
}

interface Guards {
  readonly keys: ApiKeys;
  readonly callers: Callers;
  readonly metrics: ApiMetrics;
  readonly now: () => number;
}

function guard(app: FastifyInstance, { keys, callers, metrics, now }: Guards): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    const { right, guardsItself = false } = request.routeOptions.config;
    if (guardsItself) return done();
    if (keys.isOpen) rejectForeignOrigin(request);
    // A page cannot send a key that it does not have.
    else if (request.headers.authorization === undefined) rejectCrossSite(request);
    if (right === undefined) return done();
    const caller = callers.serving(request);
    if (caller === undefined) throw callers.refusalOf(request);
    caller.usage?.addRequest(now());
    const lacking = [right].flat().find((one) => !caller.may(one));
    if (lacking !== undefined)
      throw new Refused(403, 'NotAllowed', `This API key may not do that: it lacks the right "${lacking}".`);
    // Every route checks this: a path or a query that names somebody else's job must not reveal whether it exists.
    const { job } = request.params as { readonly job?: string };
    const { jobId } = request.query as { readonly jobId?: unknown };
    for (const named of [job, jobId]) if (typeof named === 'string' && !caller.mayJob(named)) throw keyLacksJob(named);
    if (caller.name !== undefined) metrics.keyUsed(caller.name);
    request.caller = caller;
    // Triggers are many and cheap.
    if (right !== 'trigger') enter(request, reply, caller);
    done();
  });
  app.addHook('onSend', (request, _reply, _payload, done) => {
    request.leave?.();
    done();
  });
}
