import { execFile, spawn } from 'node:child_process';

/** Ends a process when this one ends; call `release` before ending it yourself. */
export interface Watchdog {
  release(): void;
}

/** Waits on its stdin, whose other end only this process holds: the kernel closes it however we end. */
const SCRIPT =
  'read -r _; kill -TERM "$1"; for _ in 1 2 3 4 5; do sleep 1; kill -0 "$1" || exit; done; kill -KILL "$1"';

/**
 * Makes the process `pid` end when this process ends, even by SIGKILL (SIGTERM at once, SIGKILL 5 s later). Node can set no
 * parent-death signal, so a waiting shell does it. Needs `sh`; without one the process is simply not watched.
 */
export function dieWithParent(pid: number): Watchdog {
  const shell = spawn('sh', ['-c', SCRIPT, 'sh', String(pid)], {
    // Out of the terminal's process group: a Ctrl-C must not end it before us.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.on('error', () => {});
  shell.unref();
  return { release: () => shell.kill('SIGKILL') };
}

export interface RunOptions {
  /** Longest run, in ms; then the program is killed and the run has failed. */
  readonly timeoutMs: number;
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Who it runs as; default: as this process. */
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Runs a program to its end, without a shell.
 *
 * @throws Error with the program's last words on stderr when it is missing, fails or takes too long.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const { timeoutMs, ...rest } = options;
    const settings = { ...rest, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 << 20 } as const;
    execFile(program, args, settings, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else reject(new Error(failure(program, error, stderr, timeoutMs), { cause: error }));
    });
  });
}

/** The words of an error and, in one line, those of its causes. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error && !error.message.includes(error.cause.message) ? error.cause : undefined;
  return cause === undefined ? error.message : `${error.message} (${reasonOf(cause)})`;
}

function failure(
  program: string,
  error: Error & { code?: string | number | null; killed?: boolean },
  stderr: string,
  timeoutMs: number,
): string {
  if (error.code === 'ENOENT') return `${program} is not installed`;
  if (error.code === 'EACCES') return `${program} may not be run (no permission)`;
  if (error.killed === true) return `${program} took longer than ${timeoutMs / 1000} s`;
  const lastWords = stderr.trim().split('\n').slice(-2).join(' ').slice(-400);
  return `${program} failed (exit code ${error.code ?? 'unknown'})${lastWords === '' ? '' : `: ${lastWords}`}`;
}
