import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { BundleOptions, WorkerDeploymentOptions, WorkerOptions } from '@temporalio/worker';
import type { CoreConfig } from '../config/core-config.ts';
import { ConfigError } from '../config/problems.ts';
import { release } from '../config/release.ts';
import { beside, payloadConverterPath } from '../temporal/data-converter.ts';

/** How Temporal knows a versioned worker. */
export interface WorkerDeployment {
  readonly options: WorkerDeploymentOptions;
  /** Name and build id, as Temporal writes them. */
  readonly version: string;
}

/** Enough digits that two builds never have the same by chance. */
const CHECKSUM_DIGITS = 12;

/**
 * The version of a worker that is configured to have one; undefined for any other. Runs stay on the build that began them (`PINNED`) unless
 * their workflow says otherwise: other code may decide differently when it replays them.
 *
 * @throws ConfigError when no build id is given and the workflow code was not bundled beforehand.
 */
export function workerDeployment(
  { deployment }: CoreConfig,
  workflowBundle: WorkerOptions['workflowBundle'],
): WorkerDeployment | undefined {
  if (deployment === undefined) return undefined;
  const version = { deploymentName: deployment.name, buildId: deployment.buildId ?? buildIdOf(workflowBundle) };
  return {
    options: { version, useWorkerVersioning: true, defaultVersioningBehavior: 'PINNED' },
    version: `${version.deploymentName}:${version.buildId}`,
  };
}

/** The release and a checksum of its workflow code, since only that code decides whether one worker can continue another's runs. */
function buildIdOf(bundle: WorkerOptions['workflowBundle']): string {
  if (bundle === undefined)
    throw new ConfigError(
      'This worker has a deployment name and no build id, and its workflow code is bundled only now. Set TRIGGERS_BUILD_ID, "buildId" of "deployment" in the configuration, or build first: npm run build.',
    );
  const code = 'code' in bundle ? bundle.code : readFileSync(bundle.codePath);
  return `${release()}-${createHash('sha256').update(code).digest('hex').slice(0, CHECKSUM_DIGITS)}`;
}

/**
 * Our workflow code, as options for Temporal's bundler.
 *
 * It is loaded once for all workflows of a worker (`preloadModules`), not again for each run: a run begins at once, with code that is
 * compiled and warm. Therefore none of its modules may keep anything between calls (`test/worker/start.test.ts`).
 */
export function workflowCode(): Required<
  Pick<BundleOptions, 'workflowsPath' | 'preloadModules' | 'payloadConverterPath' | 'workflowInterceptorModules'>
> {
  const workflowsPath = beside('../app/workflows');
  const guards = ['payload-guard', 'query-guard'].map((name) => beside(`../temporal/sandbox/${name}`));
  return {
    workflowsPath,
    preloadModules: [workflowsPath, ...guards],
    workflowInterceptorModules: guards,
    payloadConverterPath,
  };
}
