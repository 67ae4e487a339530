import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import type { ConnectConfig } from '../../client/connect.ts';
import { type Config, configReader, configuredSource, withThisMachine } from '../../config.ts';
import { shownSource } from '../../config/source-config.ts';
import { portNumber } from '../job-options.ts';
import { untilStopped } from '../run-worker.ts';
import { interruption, type Terminal } from '../terminal.ts';

export function upCommand(terminal: Terminal) {
  return new Command('up')
    .description('run everything on this machine: Temporal with its web UI, and a worker, until Ctrl-C')
    .option('--db <file>', 'where Temporal keeps everything', '.triggers/temporal.db')
    .option('--port <port>', 'of Temporal; 0: a free one', portNumber, 7233)
    .option('--ui-port <port>', 'of the web UI; 0: a free one', portNumber, 8233)
    .option('--http-port <port>', "of Temporal's HTTP API; 0: a free one", portNumber, 7243)
    .option('--config <file>', 'configuration file; default: TRIGGERS_CONFIG, else triggers.config.json')
    .option('--json', 'print JSON for machines: one object when everything is ready')
    .addHelpText(
      'after',
      `
With TEMPORAL_ADDRESS set, that server is used and none is started.

Example:
  TRIGGERS_SOURCE=./data triggers up`,
    )
    .action(async ({ db, port, uiPort, httpPort, config: path, json }) => {
      // This command is for trying things out, most often with an endpoint on the same machine.
      const read = configReader(path === undefined ? {} : { path });
      const readConfig = () => withWatchFolder(withThisMachine(read()), db);
      const config = readConfig();
      configuredSource(config); // Before a server is started that could not be used.
      const stop = interruption();
      // With --json the log on standard error is JSON lines, so these are too.
      const note = (text: string) => terminal.err(json === true ? JSON.stringify({ msg: text }) : text);
      const server = await temporalFor(note, { db: resolve(db), port, uiPort, httpPort });
      try {
        // A server of our own is started with them.
        if (server.local === undefined) await registerAttributes(server.connection, note);
        const parts = { config, readConfig, connection: server.connection, gone: server.gone };
        await untilStopped(parts, stop.signal, ({ metricsUrl }) =>
          terminal.out(
            json === true
              ? JSON.stringify({ ...readyJson(server, config), metricsUrl })
              : readyText(server, config, metricsUrl),
          ),
        );
      } finally {
        await server.stop();
        stop.dispose();
      }
    });
}

/** Watching needs a folder; by default it is beside the database. */
function withWatchFolder(config: Config, db: string): Config {
  return { ...config, watch: { folder: config.watch.folder ?? resolve(dirname(db), 'watch') } };
}

interface TemporalAtHand {
  readonly address: string;
  readonly connection: ConnectConfig;
  /** Absent for a server that is not ours. */
  readonly local?: { readonly uiUrl: string | undefined; readonly httpUrl: string; readonly db: string };
  /** Resolves when a server of our own has ended, for whatever reason. */
  readonly gone?: Promise<Error>;
  stop(): Promise<void>;
}

/** Prints what is not the result. */
type Note = (text: string) => void;

interface LocalOptions {
  readonly db: string;
  readonly port: number;
  readonly uiPort: number;
  readonly httpPort: number;
}

/** The server that the environment names, or one of our own. */
async function temporalFor(note: Note, { db, port, uiPort, httpPort }: LocalOptions): Promise<TemporalAtHand> {
  const { addressOf, loadConnectConfig } = await import('../../client/connect.ts');
  const named = loadConnectConfig();
  if (named.connectionOptions.address !== undefined) {
    return { address: addressOf(named), connection: named, stop: () => Promise.resolve() };
  }
  const { LocalTemporalFailed, startLocalTemporal } = await import('../../local/temporal-server.ts');
  const withAdvice = (error: InstanceType<typeof LocalTemporalFailed>) =>
    error.isPortTaken ? new LocalTemporalFailed(error.message, [PORT_TAKEN], { cause: error }) : error;
  mkdirSync(dirname(db), { recursive: true });
  note('Starting Temporal …');
  const local = await startLocalTemporal({
    dbFile: db,
    ...(port === 0 ? {} : { port }),
    ...(httpPort === 0 ? {} : { httpPort }),
    ui: uiPort === 0 ? true : uiPort,
    onProgress: note,
  }).catch((error: unknown) => {
    throw error instanceof LocalTemporalFailed ? withAdvice(error) : error;
  });
  return {
    address: local.address,
    connection: { connectionOptions: { address: local.address }, namespace: local.namespace },
    local: { uiUrl: local.uiUrl, httpUrl: local.httpUrl, db },
    gone: local.gone.then((log) => withAdvice(new LocalTemporalFailed(ENDED, log))),
    stop: () => local.stop(),
  };
}

const ENDED =
  'The local Temporal server ended by itself; everything that it was given is in its database (--db). Start it again with: triggers up. Its last output:';
/** What most often keeps a server from starting is a port that is taken, mostly by another server of ours. */
const PORT_TAKEN =
  'Perhaps another "triggers up" is running. Other ports: --port, --ui-port and --http-port (0: a free one).';

/** Jobs run without them too, so a server that does not let us register them is no reason not to start. */
async function registerAttributes(config: ConnectConfig, note: Note): Promise<void> {
  const { connectClient } = await import('../../client/connect.ts');
  const { registerSearchAttributes } = await import('../../client/search-attributes.ts');
  const { connection, close } = await connectClient(config);
  try {
    await registerSearchAttributes(connection, config.namespace);
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
  } finally {
    await close();
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

function readyText(
  { address, connection, local }: TemporalAtHand,
  { taskQueue, source }: Config,
  metricsUrl: string | undefined,
): string {
  const rows = [
    ['Temporal', `${address}, namespace ${connection.namespace}`],
    ['Kept in', local?.db],
    ['Web UI', local?.uiUrl],
    ['HTTP API', local?.httpUrl],
    ['Metrics', metricsUrl],
    ['Task queue', taskQueue],
    ['Audiences', source && shownSource(source)],
  ] as const;
  const lines = rows.flatMap(([name, value]) => (value === undefined ? [] : [`  ${name.padEnd(12)}${value}`]));
  return ['Ready.', ...lines, 'In another terminal: triggers start job.json. Stop everything here with Ctrl-C.'].join(
    '\n',
  );
}
