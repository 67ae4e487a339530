import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf, runProgram } from '../src/features/local/run-program.ts';
import { cacheFolder } from '../src/features/local/temporal-cli.ts';

/** The server cannot be built on this machine. */
export class TemporalServerNotFound extends Error {
  override readonly name = 'TemporalServerNotFound';
}

/** What a cluster of one machine needs of Temporal. */
export interface TemporalPrograms {
  readonly server: string;
  readonly sqlTool: string;
  /** Holds `temporal` and `visibility`, as the admin-tools image has them. */
  readonly schemas: string;
}

export const SERVER_VERSION = '1.32.2';
const MODULE = 'go.temporal.io/server';
const BUILD_MS = 20 * 60_000;

/**
 * The Temporal server and its schema tool, built by Go into our cache the first time.
 *
 * @throws TemporalServerNotFound when there is no Go, or it cannot fetch or build the modules.
 */
export async function findTemporalServer(onProgress: (text: string) => void): Promise<TemporalPrograms> {
  const home = join(cacheFolder(), `temporal-server-${SERVER_VERSION}`);
  if (!existsSync(home)) {
    try {
      await build(home, onProgress);
    } catch (error) {
      throw new TemporalServerNotFound(`The Temporal server cannot be built here: ${reasonOf(error)}`);
    }
  }
  return { server: join(home, 'server'), sqlTool: join(home, 'sql'), schemas: join(home, 'schemas') };
}

/** In a folder of its own, which is moved to its place when all is there. */
async function build(home: string, onProgress: (text: string) => void): Promise<void> {
  await runProgram('go', ['version'], { timeoutMs: 60_000 });
  onProgress(`Building the Temporal server ${SERVER_VERSION} with Go (some minutes, once)`);
  mkdirSync(cacheFolder(), { recursive: true });
  const workshop = mkdtempSync(join(cacheFolder(), 'building-'));
  try {
    // Its module asks for a newer Go than a distribution may have.
    const env = { GOTOOLCHAIN: 'auto', ...process.env, GOBIN: workshop };
    const programs = ['cmd/server', 'cmd/tools/sql'].map((path) => `${MODULE}/${path}@v${SERVER_VERSION}`);
    await runProgram('go', ['install', ...programs], { env, cwd: workshop, timeoutMs: BUILD_MS });
    const download = ['mod', 'download', '-json', `${MODULE}@v${SERVER_VERSION}`];
    const { stdout } = await runProgram('go', download, { env, cwd: workshop, timeoutMs: BUILD_MS });
    const { Dir } = JSON.parse(stdout) as { Dir: string }; // As `go help mod download` says.
    cpSync(join(Dir, 'schema', 'postgresql', 'v12'), join(workshop, 'schemas'), { recursive: true });
    renameSync(workshop, home);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}
