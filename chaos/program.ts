import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The command line, as it is built. */
export const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

/** A command that runs until it is killed, as it is built. */
export class Program {
  readonly #child: ChildProcess;

  /** Resolves once it has said that it is ready. */
  static async start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Program> {
    const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
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
