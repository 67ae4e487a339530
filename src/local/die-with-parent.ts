import { spawn } from 'node:child_process';

/** Ends a process when this one ends; `release` before ending it oneself. */
export interface Watchdog {
  release(): void;
}

/** Waits on its stdin, whose other end only this process holds: the kernel closes it whenever and however we end. */
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
