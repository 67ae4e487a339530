import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../domain/errors.ts';
import { SEARCH_ATTRIBUTES } from '../../domain/names.ts';
import { freePorts } from '../../network/free-ports.ts';
import { dieWithParent } from './run-program.ts';
import { findTemporalCli } from './temporal-cli.ts';
import { originFault, type OriginFault } from '../../http/origin-check.ts';

/** A Temporal server of our own on this machine; its starter must stop it. */
export interface LocalTemporal {
  /** host:port for clients and workers. */
  readonly address: string;
  readonly namespace: string;
  /** Base URL of the server's own HTTP API, without a slash at its end; absent when it was not asked for. */
  readonly httpUrl?: string | undefined;
  /** Base URL of the web UI; absent when it was not asked for. */
  readonly uiUrl?: string | undefined;
  /** All addresses that it listens on, as host:port. */
  readonly places: readonly string[];
  readonly pid: number;
  /** Resolves with the server's last log lines when its process has ended, for any reason. */
  readonly gone: Promise<readonly string[]>;
  /** Ends the server and resolves when its process is gone: politely at first, by force after 10 s. */
  stop(): Promise<void>;
}

/** A dynamic configuration value as the server takes it. */
export type DynamicConfigValue = string | number | boolean;

export interface LocalTemporalOptions {
  /** A `temporal` executable. Default: what `findTemporalCli` finds or fetches. */
  readonly cliPath?: string;
  /** The SQLite file that keeps everything; made when missing. Default: none, so everything is lost when the server ends. */
  readonly dbFile?: string;
  /** Default `default`; made when missing. */
  readonly namespace?: string;
  /** Port of the gRPC API; default: a free one. */
  readonly port?: number;
  /** True = the HTTP API on a free port, a number = on that port. Default: no program and no page reaches it. */
  readonly http?: boolean | number;
  /** True = the web UI on a free port, a number = on that port. Default: no UI. */
  readonly ui?: boolean | number;
  /** Settings of the server that override ours, as `--dynamic-config-value`, e.g. `{'history.maximumSignalsPerExecution': 50}`. */
  readonly dynamicConfig?: Readonly<Record<string, DynamicConfigValue>>;
  /** Called with a line for each step that takes a while, such as fetching the server. */
  readonly onProgress?: (text: string) => void;
}

/** The server did not come up, or ended by itself; `message` holds its last log lines. */
export class LocalTemporalFailed extends Error {
  override readonly name = 'LocalTemporalFailed';
  /** Whether a port that it was to listen on is taken. */
  readonly isPortTaken: boolean;
  /** @param log the server's own last lines: only its text says why it ended. */
  constructor(what: string, log: readonly string[] = [], options?: ErrorOptions) {
    super([what, ...log].join('\n'), options);
    this.isPortTaken =
      codeOf(options?.cause) === PORT_TAKEN || log.some((line) => line.includes('address already in use'));
  }
}

const PORT_TAKEN = 'EADDRINUSE';
const HOST = '127.0.0.1';
const STOP_GRACE_MS = 10_000;
const KEPT_LOG_LINES = 20;
const START_TRIES = 3;

/**
 * Beyond `limit.historySize.error` the server terminates a run; beyond 10,000 signals it only refuses more. The former is therefore above what
 * the latter lets in: 10,000 signals of the 64 KiB that we send, 625 MiB.
 */
const DYNAMIC_CONFIG: Readonly<Record<string, DynamicConfigValue>> = {
  'limit.historySize.error': 1024 ** 3,
  // Warnings for each task of a long history would only hide others.
  'limit.historySize.warn': 256 * 1024 ** 2,
  // A shard reads its new tasks at most 20 times a second by default, and this server has one shard: each workflow task, and
  // whatever else is passed on, would wait up to 50 ms for its turn (measured: median 34 ms from signal to POST, without it 17 ms).
  'history.transferProcessorMaxPollRPS': 1000,
  'history.timerProcessorMaxPollRPS': 1000,
  // A namespace may list and count 10 times a second by default. The console alone counts once a second for each job that somebody looks at.
  'frontend.namespaceRPS.visibility': 1000,
};

/**
 * With a write-ahead log a commit is one write. `synchronous` stays FULL (2). NORMAL (1) would save a millisecond, and be as safe
 * when a process is killed (the log is in the kernel by then). But a power cut could undo signals that were accepted.
 */
const DB_FILE_PRAGMAS: Readonly<Record<string, string>> = { journal_mode: 'wal', synchronous: '2' };

/**
 * Starts Temporal's development server on loopback, waits until workflows can be started, and leaves it running until `stop()`. Our search
 * attributes are registered. It does not get Ctrl-C (it has its own process group), so that we decide the order of shutdown. It ends when
 * this process does, even by SIGKILL.
 *
 * @throws TemporalCliNotFound
 * @throws LocalTemporalFailed when it ends or does not answer in time, e.g. because a given port is taken.
 */
export async function startLocalTemporal(options: LocalTemporalOptions = {}): Promise<LocalTemporal> {
  const { onProgress, dbFile } = options;
  if (dbFile !== undefined) await refuseInUse(dbFile);
  const cliPath = options.cliPath ?? (await findTemporalCli(onProgress === undefined ? {} : { onProgress })).path;
  for (let tries = 1; ; tries++) {
    try {
      return await startOnce(cliPath, options);
    } catch (error) {
      // Something else may have taken the port after we chose it and before the server did.
      const isUnlucky = error instanceof LocalTemporalFailed && error.isPortTaken;
      if (!isUnlucky || options.port !== undefined || tries === START_TRIES) throw error;
    }
  }
}

async function startOnce(cliPath: string, options: LocalTemporalOptions): Promise<LocalTemporal> {
  const places = await choosePlaces(options);
  const namespace = options.namespace ?? 'default';
  // The database is full of people's data: no other user may read it.
  const umask = process.umask(0o077);
  const child = spawn(cliPath, commandLine(options, places, namespace), {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  process.umask(umask);
  const log = keepLastLines(child);
  await once(child, 'spawn').catch((error: unknown) => {
    throw new LocalTemporalFailed(
      `${cliPath} cannot be run. Is TEMPORAL_CLI_PATH, or "temporal" on the PATH, an executable?`,
      [],
      { cause: error },
    );
  });
  const pid = child.pid ?? 0;
  const watchdog = dieWithParent(pid);
  const gone = once(child, 'exit').then(() => log);
  const { dbFile } = options;
  const fronts: Front[] = [];
  const stop = async (): Promise<void> => {
    watchdog.release();
    await Promise.all([end(child, gone), ...fronts.splice(0).map((front) => front.close())]);
    if (dbFile !== undefined) rmSync(userFileOf(dbFile), { force: true });
  };
  const inFront = async (portOption: boolean | number | undefined, to: Place, name?: string): Promise<string> => {
    const front = await openFront({ port: typeof portOption === 'number' ? portOption : 0, to, name });
    fronts.push(front);
    return front.url;
  };
  const { grpc, http, ui, metrics, name } = places;
  try {
    let httpUrl: string | undefined = await inFront(options.http, http, name);
    await healthy(httpUrl, namespace, gone, START_TIMEOUT_MS);
    if (!options.http) {
      await fronts.pop()?.close();
      httpUrl = undefined;
    }
    const uiUrl = options.ui ? await inFront(options.ui, ui) : undefined;
    const address = hostOf(grpc);
    const user = { address, httpUrl: `http://${hostOf(http)}` } satisfies DatabaseUser;
    if (dbFile !== undefined) writeFileSync(userFileOf(dbFile), JSON.stringify(user));
    const known = [...[grpc, http, ui, metrics].map(hostOf), ...fronts.map(({ url }) => new URL(url).host)];
    const listening = [...new Set([...known, ...(await internalPlaces(pid))])];
    return { address, namespace, httpUrl, uiUrl, places: listening, pid, gone, stop };
  } catch (error) {
    await stop();
    const why = error instanceof Error ? error.message : String(error);
    throw new LocalTemporalFailed(`The local Temporal server did not start: ${why}`, log, { cause: error });
  }
}

/**
 * Where a process listens, as host:port. The server's services talk to each other over ports that no option sets. Only Linux tells them; elsewhere
 * none is returned.
 */
async function internalPlaces(pid: number): Promise<string[]> {
  try {
    const links = (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''));
    const open = new Set(await Promise.all(links));
    const sockets = (await readFile(`/proc/${pid}/net/tcp`, 'utf8'))
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const listening = sockets.filter(
      ([, , , state, , , , , , inode]) => state === '0A' && open.has(`socket:[${inode}]`),
    );
    return listening.map(([, local = '']) => hostOf({ host: HOST, port: Number.parseInt(local.slice(-4), 16) }));
  } catch {
    return [];
  }
}

/** The server that has a database open. */
interface DatabaseUser {
  readonly address: string;
  readonly httpUrl: string;
}

/** Beside the database. A killed server leaves it behind, with an address at which no server answers. */
function userFileOf(dbFile: string): string {
  return `${dbFile}.in-use`;
}

/** Two servers on one database would each act as if it were theirs alone. @throws LocalTemporalFailed */
async function refuseInUse(dbFile: string): Promise<void> {
  let user: DatabaseUser;
  try {
    user = JSON.parse(readFileSync(userFileOf(dbFile), 'utf8')) as DatabaseUser; // We wrote it.
    const answer = await fetch(`${user.httpUrl}/api/v1/system-info`, { signal: AbortSignal.timeout(IN_USE_ANSWER_MS) });
    // Another program may have the port by now. A server of ours answers only this, since we do not know its name.
    if (!(await answer.text()).includes('Host not allowed')) return;
  } catch {
    return;
  }
  throw new LocalTemporalFailed(
    `The local Temporal server did not start: ${dbFile} is in use by the one at ${user.address}. Use that one (TEMPORAL_ADDRESS=${user.address}), end it first, or name another file (--db).`,
  );
}

/** Longest wait until the server answers, in ms: a database file with much history takes a while. */
const START_TIMEOUT_MS = 60_000;
const IN_USE_ANSWER_MS = 2_000;

interface Place {
  readonly host: string;
  readonly port: number;
}

const hostOf = ({ host, port }: Place): string => `${host}:${port}`;

interface Places {
  readonly grpc: Place;
  readonly http: Place;
  readonly ui: Place;
  readonly metrics: Place;
  /** The only name by which the HTTP API may be asked. No page knows it, and no browser can ask by it: `.invalid` never resolves (RFC 6761). */
  readonly name: string;
}

async function choosePlaces({ port, http, ui }: LocalTemporalOptions): Promise<Places> {
  for (const one of [port, http, ui]) if (typeof one === 'number') await checkFree({ host: HOST, port: one });
  const [a = 0, b = 0, c = 0, d = 0] = await freePorts(4);
  const at = (port: number): Place => ({ host: HOST, port });
  const name = `${randomBytes(16).toString('hex')}.invalid`;
  return { grpc: at(port ?? a), http: at(b), ui: await hiddenPlace(c), metrics: at(d), name };
}

/**
 * The web UI answers anybody who finds it, by any name. It therefore listens at an address of loopback that no page can guess, unless there is
 * none but 127.0.0.1 (macOS).
 */
async function hiddenPlace(port: number): Promise<Place> {
  const hidden = { host: ['127', ...[0, 0, 0].map(() => randomInt(1, 255))].join('.'), port };
  return await checkFree(hidden).then(
    () => hidden,
    () => ({ host: HOST, port }),
  );
}

/** Another server on a given port would answer in place of ours, and be taken for it until ours has failed. */
async function checkFree({ host, port }: Place): Promise<void> {
  const server = createServer().listen(port, host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const why = codeOf(cause) === PORT_TAKEN ? 'is taken' : 'cannot be listened on';
    throw new LocalTemporalFailed(`The local Temporal server did not start: port ${port} of ${host} ${why}.`, [], {
      cause,
    });
  }
  await once(server.close(), 'close');
}

function commandLine(options: LocalTemporalOptions, places: Places, namespace: string): string[] {
  const { dbFile } = options;
  const pragmas = dbFile === undefined ? {} : DB_FILE_PRAGMAS;
  const settings = { ...DYNAMIC_CONFIG, ...options.dynamicConfig, 'frontend.httpAllowedHosts': [places.name] };
  const ui = [`--ui-ip=${places.ui.host}`, `--ui-port=${places.ui.port}`, '--ui-disable-news-fetch'];
  return [
    'server',
    'start-dev',
    `--ip=${HOST}`,
    `--port=${places.grpc.port}`,
    `--http-port=${places.http.port}`,
    `--metrics-port=${places.metrics.port}`,
    `--namespace=${namespace}`,
    '--log-level=warn',
    ...(options.ui ? ui : ['--headless']),
    ...(dbFile === undefined ? [] : ['--db-filename', dbFile]),
    ...Object.entries(pragmas).flatMap(([name, value]) => ['--sqlite-pragma', `${name}=${value}`]),
    ...Object.entries(settings).flatMap(([name, value]) => [
      '--dynamic-config-value',
      `${name}=${JSON.stringify(value)}`,
    ]),
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${CLI_TYPE[type]}`]),
  ];
}

/** The CLI spells the types of search attributes in its own way. */
const CLI_TYPE = { KEYWORD: 'Keyword', KEYWORD_LIST: 'KeywordList' } as const;

function keepLastLines(child: ChildProcess): string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LOG_LINES) lines.shift();
    });
  }
  return lines;
}

/**
 * Waits until the history service answers, by asking for a workflow that cannot exist: "not found" means that it is healthy.
 *
 * @param gone resolves when the server's process has ended.
 * @throws Error when it has, or when `timeoutMs` are over.
 */
export async function healthy(
  httpUrl: string,
  namespace: string,
  gone: Promise<unknown>,
  timeoutMs: number,
): Promise<void> {
  const probe = `${httpUrl}/api/v1/namespaces/${encodeURIComponent(namespace)}/workflows/no-such-workflow`;
  const deadline = performance.now() + timeoutMs;
  let ended = false;
  void gone.then(() => (ended = true));
  while (performance.now() < deadline) {
    if (ended) throw new Error('its process ended.');
    const answer = await fetch(probe, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    if (answer?.status === 404 && /workflow/i.test(await answer.text())) return;
    await sleep(25);
  }
  throw new Error(`it did not answer within ${timeoutMs / 1000} s.`);
}

async function end(child: ChildProcess, gone: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
    await gone;
    clearTimeout(force);
  }
}

/** A proxy on loopback for a server that does not check the origin of requests. */
export interface Front {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

interface FrontOptions {
  /** 0: a free one. */
  readonly port: number;
  /** The server behind. */
  readonly to: { readonly host: string; readonly port: number };
  /** The name in the `host` of requests to it. Default: the one that the front got. */
  readonly name?: string | undefined;
}

const WORDS: Readonly<Record<OriginFault, string>> = {
  PassedOn: 'This is for this machine only, and for nothing that a proxy passes on.',
  WrongHost: 'This is not asked by that name. Use 127.0.0.1 or localhost.',
  WrongOrigin: 'Pages of other sites may not ask.',
};

/**
 * Passes on requests of this machine's programs and of the server's own pages, but not of pages of other origins.
 * @throws the error from listening: the port is taken, say.
 */
export async function openFront({ port, to, name }: FrontOptions): Promise<Front> {
  const server = createHttpServer((request, response) => {
    const fault = originFault(request, true);
    if (fault !== undefined) {
      // The rest of the body is not read.
      const headers = { 'content-type': 'application/json', connection: 'close' };
      response.writeHead(403, headers).end(JSON.stringify({ code: fault, message: WORDS[fault] }));
      return;
    }
    const { method, url: path, headers } = request;
    const asking = httpRequest({
      ...to,
      method,
      path,
      headers: name === undefined ? headers : { ...headers, host: name },
    });
    asking.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response, () => undefined);
    });
    asking.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.once('close', () => asking.destroy());
    request.pipe(asking);
  });
  await once(server.listen(port, HOST), 'listening');
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`, // It listens on a port.
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
