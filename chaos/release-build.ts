import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RELEASES } from '../releases.mjs';
import { reasonOf, runProgram } from '../src/features/local/run-program.ts';
import { cacheFolder } from '../src/features/local/temporal-cli.ts';

/** Workers of a release, as it was built. */
export interface Release {
  /** The folder of its compiled code. */
  readonly lib: string;
  /** More of its workers' configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** The release cannot be built on this machine: its commit is not here, or its packages are not. */
export class ReleaseNotFound extends Error {
  override readonly name = 'ReleaseNotFound';
}

/** This checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STEP_MS = 10 * 60_000;

/**
 * Builds a release from its commit into our cache, the first time.
 *
 * @param name a version, or what else git knows a commit by.
 * @throws ReleaseNotFound
 */
export async function findRelease(name: string, say: (text: string) => void): Promise<Release> {
  try {
    const { stdout } = await runProgram('git', ['rev-parse', '--verify', `${RELEASES[name] ?? name}^{commit}`], {
      cwd: ROOT,
      timeoutMs: STEP_MS,
    });
    const home = join(cacheFolder(), `release-${stdout.trim()}`);
    if (!existsSync(home)) {
      say(`Building release ${name} (a minute or two, once)`);
      await build(stdout.trim(), home);
    }
    return { lib: join(home, 'lib') };
  } catch (error) {
    throw new ReleaseNotFound(`Release ${name} cannot be built here: ${reasonOf(error)}`);
  }
}

/** In a folder of its own, which is moved to its place when all is there. */
async function build(commit: string, home: string): Promise<void> {
  mkdirSync(cacheFolder(), { recursive: true });
  const workshop = mkdtempSync(join(cacheFolder(), 'building-'));
  const step = async (program: string, ...args: string[]) =>
    await runProgram(program, args, { cwd: workshop, timeoutMs: STEP_MS });
  try {
    const archive = join(workshop, 'release.tar');
    await runProgram('git', ['archive', `--output=${archive}`, commit], { cwd: ROOT, timeoutMs: STEP_MS });
    await step('tar', '--extract', '--file', archive);
    rmSync(archive);
    await step('npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts');
    await step('node', 'scripts/build.mjs');
    renameSync(workshop, home);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}
