import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../../src/features/local/run-program.ts';
import { type Ended, runWarm } from './cli-hosts.ts';
import { PATIENCE_MS } from './patience.ts';
import { temporal } from './temporal.ts';

/** The built command, as `npm test` and `npm pack` make it. */
const MAIN = fileURLToPath(new URL('../../lib/app/main.js', import.meta.url));

export interface ProgramOptions {
  /** Added to the environment of the test server; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  readonly cwd?: string;
  /** For a command that would serve: it is to fail, and needs no process of its own. */
  readonly fails?: true;
}

/** A running program; the test that starts it ends it. */
export class Program {
  readonly pid: number;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  readonly #listeners = new Set<() => void>();

  constructor(command: string, args: readonly string[], { env = {}, stdin, cwd = ownFolder() }: ProgramOptions = {}) {
    this.#child = spawn(command, args, { cwd, env: environmentOf({ env }), stdio: 'pipe' });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#hear(() => (this.stdout += chunk.toString())));
    this.#child.stderr?.on('data', (chunk: Buffer) => this.#hear(() => (this.stderr += chunk.toString())));
    this.#child.stdin?.on('error', () => undefined); // It need not read what it is given.
    this.#child.stdin?.end(stdin ?? '');
    this.#closed = once(this.#child, 'close').then(([code]) => {
      this.#hear(() => undefined);
      return code as number | null; // As documented for the event.
    });
  }

  /** Resolves once `isThere` holds for its output; rejects when it ends or time is up first. */
  async says(isThere: (program: this) => boolean): Promise<void> {
    const ended = this.#closed.then(() => 'it ended');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`after ${PATIENCE_MS} ms`), PATIENCE_MS);
    });
    try {
      while (!isThere(this)) {
        const nextOutput = new Promise<undefined>((resolve) => this.#listeners.add(() => resolve(undefined)));
        const reason = await Promise.race([nextOutput, ended, late]);
        if (reason !== undefined && !isThere(this))
          throw new Error(`Not said (${reason}).\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async end(): Promise<Ended> {
    const code = await this.#closed;
    return { code, stdout: this.stdout, stderr: this.stderr };
  }

  /** For the end of a test: by force, unless it has ended. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  #hear(take: () => void): void {
    take();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

/** Starts `triggers` against the test server. */
export function startTriggers(args: readonly string[], options: ProgramOptions = {}): Program {
  return new Program(process.execPath, [MAIN, ...args], options);
}

/** Commands that serve until they are told to end: they have a process to themselves. */
const SERVERS: ReadonlySet<string | undefined> = new Set(['up', 'worker', 'receive', 'codec-server', 'api', 'consume']);

/**
 * Runs `triggers` against the test server, to its end; where the process itself does not matter in one that is warm. That it is no different
 * there is for cli.test.ts to show.
 */
export async function triggers(args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  if (SERVERS.has(args[0]) && options.fails !== true) return await startTriggers(args, options).end();
  const { stdin = '', cwd = emptyFolder() } = options;
  return await runWarm({ args, env: environmentOf(options), cwd, stdin });
}

/** `triggers` as an operator of the jobs of one task queue calls it. */
export class Operator {
  readonly #taskQueue: string;

  constructor(taskQueue: string) {
    this.#taskQueue = taskQueue;
  }

  async run(args: readonly string[], { env, ...options }: ProgramOptions = {}): Promise<Ended> {
    return await triggers(args, { ...options, env: { TRIGGERS_TASK_QUEUE: this.#taskQueue, ...env } });
  }

  /** What a command with --json prints. @throws when it ends badly, or says anything else. */
  async json<T>(args: readonly string[], options?: ProgramOptions): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], options);
    if (code !== 0 || stderr !== '') throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as T; // The test says what it expects there.
  }
}

/** What a program printed as JSON, one value a line. */
export function jsonLines<T = unknown>(text: string): T[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as T); // The test says what it expects there.
}

/** A text as it was before it was wrapped. */
export function unwrapped(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** The processes that a process has started and that still exist. */
export async function childrenOf(pid: number): Promise<number[]> {
  const { stdout } = await runProgram('ps', ['-A', '-o', 'pid=,ppid='], { timeoutMs: 5000 });
  const rows = stdout.split('\n').map((row) => row.trim().split(/\s+/).map(Number));
  return rows.flatMap(([id, parent]) => (parent === pid && id !== undefined ? [id] : []));
}

/** Whether a process exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ignores the machine's own set-up: no configuration file, no profile of the `temporal` CLI. */
function environmentOf({ env = {} }: ProgramOptions): Record<string, string> {
  const home = emptyFolder();
  const all: Record<string, string | undefined> = {
    PATH: process.env['PATH'],
    HOME: home,
    XDG_CONFIG_HOME: home,
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_CLI_PATH: temporal.cliPath,
    ...env,
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** For a program that may leave something there: `up` keeps a log that commands beside it read. */
function ownFolder(): string {
  return mkdtempSync(join(temporal.folder, 'own-'));
}

/** Removed together with the run's own folder. */
function emptyFolder(): string {
  const folder = join(temporal.folder, 'empty');
  mkdirSync(folder, { recursive: true });
  return folder;
}
