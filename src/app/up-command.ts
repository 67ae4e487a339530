import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { ConnectConfig } from '../client/calls/connect.ts';
import { type Config, configReader, configuredSource, withThisMachine } from './config.ts';
import { configWarnings } from '../config/file.ts';
import { deliveryLogIn } from '../features/delivery-log/config.ts';
import { shownSource } from './source.ts';
import { EXPORT_JOB } from '../domain/names.ts';
import type { LocalTemporal } from '../features/local/temporal-server.ts';
import { command } from '../cli/command.ts';
import { UsageError } from '../cli/exit-code.ts';
import { portNumber } from '../cli/options.ts';
import { withRemedies } from '../cli/text.ts';
import { untilStopped } from './worker-command.ts';
import { DEFAULT_API_PORT, serveApi } from './api-command.ts';
import { interruption } from '../cli/terminal.ts';

const DEFAULT_PORT = 7233;

export const upCommand = command({
  name: 'up',
  description: 'run everything on this machine: Temporal with its web UI, a worker and the console, until Ctrl-C',
  takes: (it) =>
    it
      .option('--db <file>', 'database file of Temporal', '.triggers/temporal.db')
      .option('--port <port>', 'port of Temporal; 0: any free port', portNumber, DEFAULT_PORT)
      .option('--ui-port <port>', 'port of the web UI; 0: any free port', portNumber, 8233)
      .option(
        '--http-port <port>',
        "also serve Temporal's own HTTP API (docs/upstreams.md) on this port; 0: any free port",
        portNumber,
      )
      .option(
        '--api-port <port>',
        'port of the HTTP API and the console (docs/api.md); 0: any free port',
        portNumber,
        DEFAULT_API_PORT,
      )
      .option('--config <file>', 'configuration file; default: TRIGGERS_CONFIG, else triggers.config.json'),
  json: ': one object when everything is ready',
  notes: 'If TEMPORAL_ADDRESS is set, it uses that server and starts none.',
  examples: ['TRIGGERS_SOURCE=./data triggers up'],
  async run(_args, { db, port, uiPort, httpPort, apiPort, config: path }, { terminal, note, print, isGiven }) {
    refuseOwnServerOptions(isGiven);
    // This command is for trying things out, most often with an endpoint on the same machine.
    const read = configReader(path === undefined ? {} : { path });
    const readConfig = () => withOwnFolder(withThisMachine(read()), db);
    const config = readConfig();
    configuredSource(config); // This is before a server is started that could not be used.
    const stop = interruption();
    configWarnings(path === undefined ? {} : { path }).forEach(note);
    const server = await temporalFor(note, { db: resolve(db), port, uiPort, httpPort });
    try {
      // A server of our own has them from its start.
      if (server.local === undefined) await registerAttributes(server.connection, note);
      const { connection } = server;
      const api = await serveApi({
        connection,
        payloadKeys: config.payloadKeys,
        taskQueue: config.taskQueue,
        read: readConfig,
        deliveryLog: config.deliveryLog,
        host: '127.0.0.1',
        port: apiPort,
        portOption: '--api-port',
        temporalUiUrl: server.local?.uiUrl,
        terminal,
      });
      try {
        const neverTo = [new URL(api.url).host, ...(server.local?.places ?? [])];
        await untilStopped(
          { config, readConfig, connection, gone: server.gone, neverTo },
          stop.signal,
          ({ metricsUrl }) => {
            const urls = { apiUrl: api.url, consoleUrl: api.invite(), metricsUrl };
            print({ ...readyJson(server, config), ...urls }, () => [readyText(server, config, urls)]);
          },
        );
      } finally {
        await api.close();
      }
    } finally {
      await server.stop();
      stop.dispose();
    }
  },
});

/** Without this check, options for our own server would be ignored silently when the environment names another one. */
function refuseOwnServerOptions(isGiven: (option: OwnServerOption) => boolean): void {
  const address = process.env['TEMPORAL_ADDRESS'];
  if (address === undefined || address === '') return;
  const option = OWN_SERVER_OPTIONS.find(([name]) => isGiven(name));
  if (option !== undefined)
    throw new UsageError(
      `TEMPORAL_ADDRESS is set to ${address}, so that server is used and none is started: ${option[1]} would mean nothing. Unset TEMPORAL_ADDRESS to start one.`,
    );
}

type OwnServerOption = (typeof OWN_SERVER_OPTIONS)[number][0];

const OWN_SERVER_OPTIONS = [
  ['db', '--db'],
  ['port', '--port'],
  ['uiPort', '--ui-port'],
  ['httpPort', '--http-port'],
] as const;

/** Watches and the delivery log need a folder; by default it is that of the database. */
function withOwnFolder(config: Config, db: string): Config {
  const own = resolve(dirname(db));
  return {
    ...config,
    watch: { folder: config.watch.folder ?? join(own, 'watch') },
    deliveryLog: config.deliveryLog ?? deliveryLogIn(own),
  };
}

interface TemporalAtHand {
  readonly address: string;
  readonly connection: ConnectConfig;
  /** Absent for a server that is not ours. */
  readonly local?: Pick<LocalTemporal, 'uiUrl' | 'httpUrl' | 'places'> & { readonly db: string };
  /** Resolves when a server of our own has ended, for whatever reason. */
  readonly gone?: Promise<Error>;
  stop(): Promise<void>;
}

/** Prints text that is not the result. */
type Note = (text: string) => void;

interface LocalOptions {
  readonly db: string;
  readonly port: number;
  readonly uiPort: number;
  readonly httpPort: number | undefined;
}

/** The server that the environment names, or our own. */
async function temporalFor(note: Note, { db, port, uiPort, httpPort }: LocalOptions): Promise<TemporalAtHand> {
  const { addressOf, loadConnectConfig } = await import('../client/calls/connect.ts');
  const named = loadConnectConfig();
  if (named.connectionOptions.address !== undefined) {
    return { address: addressOf(named), connection: named, stop: () => Promise.resolve() };
  }
  const { LocalTemporalFailed, startLocalTemporal } = await import('../features/local/temporal-server.ts');
  const withAdvice = (error: InstanceType<typeof LocalTemporalFailed>) =>
    error.isPortTaken ? new LocalTemporalFailed(error.message, [PORT_TAKEN], { cause: error }) : error;
  makeFolder(dirname(db));
  note('Starting Temporal …');
  const local = await startLocalTemporal({
    dbFile: db,
    ...(port === 0 ? {} : { port }),
    ...(httpPort === undefined ? {} : { http: httpPort === 0 || httpPort }),
    ui: uiPort === 0 || uiPort,
    onProgress: note,
  }).catch((error: unknown) => {
    throw error instanceof LocalTemporalFailed ? withAdvice(error) : error;
  });
  return {
    address: local.address,
    connection: { connectionOptions: { address: local.address }, namespace: local.namespace },
    local: { uiUrl: local.uiUrl, httpUrl: local.httpUrl, places: local.places, db },
    gone: Promise.race([
      local.gone.then((log) => withAdvice(new LocalTemporalFailed(ENDED, log))),
      databaseGone(db).then(() => new LocalTemporalFailed(`The database ${db} ${DATABASE_GONE}`)),
    ]),
    stop: () => local.stop(),
  };
}

/** Resolves once the server's open file is no longer at its path. */
async function databaseGone(db: string): Promise<void> {
  const { ino } = statSync(db);
  do await setTimeout(DATABASE_LOOK_MS, undefined, { ref: false });
  while (statSync(db, { throwIfNoEntry: false })?.ino === ino);
}

const DATABASE_LOOK_MS = 1_000;
const DATABASE_GONE =
  'was removed or replaced while Temporal had it open. Nothing more is accepted: it would be lost. Put the file back from a backup, or start with an empty one: triggers up';

/** Our own folder contains people's data: no other user may read it, and git ignores it. */
function makeFolder(folder: string): void {
  const isOurs = basename(folder) === '.triggers';
  const isNew = mkdirSync(folder, { recursive: true, ...(isOurs ? { mode: 0o700 } : {}) }) !== undefined;
  if (isNew && isOurs) writeFileSync(join(folder, '.gitignore'), '*\n');
}

/** The page of the web UI that lists jobs, without the short workflows beside them that answer questions. */
function jobsIn(uiUrl: string, namespace: string): string {
  const query = new URLSearchParams({ query: `WorkflowType='${EXPORT_JOB}'` });
  return `${uiUrl}/namespaces/${namespace}/workflows?${query.toString()}`;
}

const ENDED =
  'The local Temporal server ended by itself; everything that it was given is in its database (--db). Start it again with: triggers up. Its last output:';
/** Advice for a server that does not start: most often another server of ours has the port. */
const PORT_TAKEN =
  'Perhaps another "triggers up" is running. Other ports: --port, --ui-port and --http-port (0: any free port).';

/** Jobs also run without them, so the worker starts even if a server does not let us register them. */
async function registerAttributes(config: ConnectConfig, note: Note): Promise<void> {
  const { openConnection } = await import('../client/calls/connect.ts');
  const { registerSearchAttributes } = await import('../client/jobs/search-attributes.ts');
  const connection = await openConnection(config);
  try {
    await registerSearchAttributes(connection, config.namespace);
  } catch (error) {
    note(error instanceof Error ? withRemedies(error) : String(error));
  } finally {
    await connection.close();
  }
}

function readyJson({ address, connection, local }: TemporalAtHand, { taskQueue, source }: Config) {
  const { namespace } = connection;
  return {
    address,
    namespace,
    uiUrl: local?.uiUrl,
    httpUrl: local?.httpUrl,
    taskQueue,
    source: source && shownSource(source),
  };
}

interface ServedUrls {
  readonly apiUrl: string;
  readonly consoleUrl: string;
  readonly metricsUrl: string | undefined;
}

function readyText(
  { address, connection, local }: TemporalAtHand,
  { taskQueue, source, deliveryLog }: Config,
  { apiUrl, consoleUrl, metricsUrl }: ServedUrls,
): string {
  // Contains a sign-in token behind the #.
  const isLink = consoleUrl.includes('#');
  const rows = [
    ['Console', isLink ? `${consoleUrl} (signs in once, within 10 minutes)` : consoleUrl],
    ['Temporal', `${address}, namespace ${connection.namespace}`],
    ['Kept in', local?.db],
    ['Delivery log', deliveryLog?.folder ?? deliveryLog?.otlp?.endpoint ?? (deliveryLog && 'in PostgreSQL')],
    ['Web UI', local?.uiUrl === undefined ? undefined : jobsIn(local.uiUrl, connection.namespace)],
    ['API', `${apiUrl}, to read and try at ${apiUrl}/docs`],
    ['Temporal HTTP', local?.httpUrl],
    ['Metrics', metricsUrl],
    ['Task queue', taskQueue],
    ['Audiences', source && shownSource(source)],
  ] as const;
  const lines = rows.flatMap(([name, value]) => (value === undefined ? [] : [`  ${name.padEnd(15)}${value}`]));
  // The other commands expect a server at the default port.
  const variable = local === undefined || address.endsWith(`:${DEFAULT_PORT}`) ? '' : `TEMPORAL_ADDRESS=${address} `;
  return [
    'Ready.',
    ...lines,
    `Set up a job in another terminal: ${variable}npx triggers new`,
    'Stop everything here with Ctrl-C.',
  ].join('\n');
}
