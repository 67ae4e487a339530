import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findRelease, ROOT } from './release-build.ts';

/** The command line, as it is built. */
export const MAIN = mainOf(join(ROOT, 'lib'));

/** By turns the command line of an older release and that of this one; of this one alone, if `from` is empty. @throws ReleaseNotFound */
export async function mainsByTurns(from: string): Promise<() => string> {
  const mains = from === '' ? [MAIN] : [mainOf((await findRelease(from, console.error)).lib), MAIN];
  let turn = 0;
  return () => mains[turn++ % mains.length] ?? MAIN;
}

function mainOf(lib: string): string {
  const main = join(lib, 'app', 'main.js');
  // Where older releases have it.
  return existsSync(main) ? main : join(lib, 'cli', 'main.js');
}

/** A command that runs until it is killed, as it is built. */
export class Program {
  readonly #child: ChildProcess;

  /** Resolves once it has said that it is ready. @param main the command line; default: this release's. */
  static async start(args: readonly string[], env: NodeJS.ProcessEnv, main = MAIN): Promise<Program> {
    const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`triggers ${args.join(' ')} ended with ${String(code)} before it was ready.`);
    });
    ended.catch(() => undefined);
    await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    return new Program(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
