import type { BundleOptions } from '@temporalio/worker';
import { beside, payloadConverterPath } from './payload-converter-path.ts';

/**
 * Our workflow code, as Temporal's bundler takes it.
 *
 * It is loaded once for all workflows of a worker (`preloadModules`), not anew for each run: a run begins at once, and with code that is
 * compiled and warm. So no module of it may keep anything between calls (`test/workflow-code.test.ts`).
 */
export function workflowCode(): Required<
  Pick<BundleOptions, 'workflowsPath' | 'preloadModules' | 'payloadConverterPath'>
> {
  const workflowsPath = beside('workflows/index');
  return { workflowsPath, preloadModules: [workflowsPath], payloadConverterPath };
}
