import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';

const HOST = fileURLToPath(new URL('cli-host.mjs', import.meta.url));

export interface Command {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: string;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A warm process that runs one command at a time. */
class CliHost {
  readonly #child: ChildProcess;
  #stderr = '';

  constructor() {
    this.#child = fork(HOST, { execArgv: [], env: {}, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
  }

  async run(command: Command): Promise<Ended> {
    return await new Promise((resolve) => {
      const onMessage = (ended: Ended): void => settle(ended);
      const onClose = (code: number | null): void => settle({ code, stdout: '', stderr: this.#stderr });
      const settle = (ended: Ended): void => {
        this.#child.off('message', onMessage).off('close', onClose);
        resolve(ended);
      };
      this.#child.on('message', onMessage).on('close', onClose);
      this.#child.send(command);
    });
  }

  get isAlive(): boolean {
    return this.#child.connected;
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

/** Those of this test file that have nothing to do; jest loads this module anew for each file. */
const idle: CliHost[] = [];
const all = new Set<CliHost>();
let isOver = false;

afterAll(() => {
  isOver = true;
  for (const host of all) host.end();
});

/** Runs a command of `triggers` to its end, in a warm process that does nothing else meanwhile. */
export async function runWarm(command: Command): Promise<Ended> {
  const host = idle.pop() ?? new CliHost();
  all.add(host);
  const ended = await host.run(command);
  // A file may clean up by commands after we have.
  if (isOver) host.end();
  else if (host.isAlive) idle.push(host);
  return ended;
}
