import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPostgres, Postgres, type PostgresPrograms } from '../demo/postgres-server.ts';
import { freePorts } from '../src/network/free-ports.ts';
import { dieWithParent, runProgram, type Watchdog } from '../src/features/local/run-program.ts';
import { findTemporalCli } from '../src/features/local/temporal-cli.ts';
import { type DynamicConfigValue, healthy } from '../src/features/local/temporal-server.ts';
import { clusterConfig, dynamicConfigLines, type Guard, LARGEST_PORT, PORT_COUNT } from './cluster-config.ts';
import type { ChaosServer } from './server.ts';
import { findTemporalServer, type TemporalPrograms } from './temporal-build.ts';

const OPS = fileURLToPath(new URL('../ops/temporal/', import.meta.url));
const HOST = '127.0.0.1';
const NAMESPACE = 'default';
const SCRIPT_MS = 180_000;
const START_MS = 120_000;
const STOP_GRACE_MS = 15_000;
const LAST_WORDS = 2_000;
const SERVICES = ['frontend', 'history', 'matching', 'worker'];

export interface ClusterPrograms {
  readonly postgres: PostgresPrograms;
  readonly temporal: TemporalPrograms;
}

/**
 * A real Temporal server on PostgreSQL, with what it needs built or found first.
 *
 * @param say told what takes long.
 * @throws PostgresNotFound, TemporalServerNotFound
 */
export async function startRealServer(
  folder: string,
  dynamicConfig: Readonly<Record<string, DynamicConfigValue>>,
  say: (text: string) => void,
): Promise<ChaosServer> {
  const temporal = await findTemporalServer(say);
  const postgres = await findPostgres(folder);
  return await startCluster({ postgres, temporal }, folder, dynamicConfig);
}

/** A frontend that does not let everybody in. */
export interface GuardedFrontend {
  readonly guard: Guard;
  /** What the `temporal` CLI needs to be let in, as somebody who may do all. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ClusterOptions {
  readonly guarded?: GuardedFrontend;
  /** Where PostgreSQL's data is; default: below the cluster's folder. */
  readonly postgresFolder?: string;
  /** Of PostgreSQL, which override ours. */
  readonly postgresSettings?: Readonly<Record<string, string>>;
}

/** Its parts, for whoever breaks them one by one. */
export interface Cluster extends ChaosServer {
  readonly httpPort: number;
  readonly postgres: Postgres;
  /** Ends Temporal at once, so that it can write nothing more. */
  killTemporal(): Promise<void>;
  /** Starts it again, with the same ports, and waits until it answers. */
  startTemporal(): Promise<void>;
}

/** A real Temporal server on PostgreSQL, set up by the very scripts that docker-compose.yml runs. */
export async function startCluster(
  programs: ClusterPrograms,
  folder: string,
  dynamicConfig: Readonly<Record<string, DynamicConfigValue>>,
  { guarded, postgresFolder = folder, postgresSettings = {} }: ClusterOptions = {},
): Promise<Cluster> {
  const [postgresPort = 0, ...ports] = await freePorts(1 + PORT_COUNT, LARGEST_PORT);
  const place = { port: postgresPort, settings: postgresSettings };
  const postgres = await Postgres.start(programs.postgres, postgresFolder, place);
  const database = {
    POSTGRES_SEEDS: postgres.host,
    DB_PORT: String(postgres.port),
    POSTGRES_USER: postgres.user,
    SQL_PASSWORD: postgres.password,
    TEMPORAL_SQL_TOOL: programs.temporal.sqlTool,
    TEMPORAL_SCHEMA_DIR: programs.temporal.schemas,
  };
  try {
    await runScript('schema.sh', database);
    const dynamicConfigFile = join(folder, 'dynamicconfig.yaml');
    const own = readFileSync(join(OPS, 'dynamicconfig.yaml'), 'utf8');
    writeFileSync(dynamicConfigFile, dynamicConfigLines(dynamicConfig, own));
    const configFile = join(folder, 'temporal.yaml');
    // JSON is YAML.
    const places = { postgresPort, ports, dynamicConfigFile };
    writeFileSync(configFile, JSON.stringify(clusterConfig(places, postgres.user, guarded?.guard)));
    const server = new TemporalProcess(
      programs.temporal.server,
      configFile,
      join(folder, 'temporal.log'),
      guarded !== undefined,
    );
    server.start();
    try {
      const address = `${HOST}:${ports[0]}`;
      const cli = {
        TEMPORAL_ADDRESS: address,
        TEMPORAL_NAMESPACE: NAMESPACE,
        TEMPORAL_CLI: (await findTemporalCli()).path,
        ...guarded?.env,
      };
      await server.whileItRuns(runScript('namespace.sh', cli));
      await runScript('search-attributes.sh', cli);
      const answers = () =>
        guarded === undefined
          ? healthy(`http://${HOST}:${ports[1]}`, NAMESPACE, server.gone, START_MS)
          : runScript('namespace.sh', cli);
      await answers();
      return {
        address,
        httpPort: ports[1] ?? 0,
        namespace: NAMESPACE,
        postgres,
        killTemporal: () => server.kill(),
        startTemporal: async () => {
          server.start();
          await server.whileItRuns(answers());
        },
        pid: () => server.pid,
        parts: ['temporal', 'postgresql'],
        restart: async (what) => {
          const fromMs = Date.now();
          if (what === 'temporal') await server.restart();
          else await postgres.restart();
          await answers();
          return { what, fromMs, toMs: Date.now() };
        },
        databaseBytes: () => folderBytes(postgres.dataFolder),
        stop: async () => {
          await server.stop();
          await postgres.stop();
        },
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}

/** The server's process; it logs to a file. */
class TemporalProcess {
  gone: Promise<unknown> = Promise.resolve();
  readonly #program: string;
  readonly #configFile: string;
  readonly #logFile: string;
  readonly #isGuarded: boolean;
  #child: ChildProcess | undefined;
  #watchdog: Watchdog | undefined;

  constructor(program: string, configFile: string, logFile: string, isGuarded: boolean) {
    this.#isGuarded = isGuarded;
    this.#program = program;
    this.#configFile = configFile;
    this.#logFile = logFile;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  start(): void {
    const log = openSync(this.#logFile, 'a');
    const services = this.#isGuarded ? [...SERVICES, 'internal-frontend'] : SERVICES;
    const args = ['--config-file', this.#configFile, '--allow-no-auth', 'start'];
    for (const service of services) args.push('--service', service);
    const child = spawn(this.#program, args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#child = child;
    this.gone = once(child, 'exit');
    this.#watchdog = dieWithParent(child.pid ?? 0);
  }

  /** @throws Error with the server's last words when it ends before that is done. */
  async whileItRuns<T>(something: Promise<T>): Promise<T> {
    const ended = this.gone.then(() => {
      throw new Error(`The Temporal server ended.\n${readFileSync(this.#logFile, 'utf8').slice(-LAST_WORDS)}`);
    });
    return await Promise.race([something, ended]);
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.kill();
    this.start();
  }

  async stop(): Promise<void> {
    const force = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_GRACE_MS);
    await this.#end('SIGTERM');
    clearTimeout(force);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#watchdog?.release();
    this.#child?.kill(signal);
    await this.gone;
  }
}

async function runScript(name: string, env: Readonly<Record<string, string>>): Promise<void> {
  await runProgram('sh', [join(OPS, name)], { env: { ...process.env, ...env }, timeoutMs: SCRIPT_MS });
}

function folderBytes(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    // The database removes files as it likes.
    bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}
