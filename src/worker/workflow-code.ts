import type { BundleOptions } from '@temporalio/worker';
import { beside, payloadConverterPath } from '../temporal/data-converter.ts';

/**
 * Our workflow code, as options for Temporal's bundler.
 *
 * It is loaded once for all workflows of a worker (`preloadModules`), not again for each run, so that a run begins at once, with code that
 * is compiled and warm. Therefore none of its modules may keep anything between calls (`test/worker/start.test.ts`).
 */
export function workflowCode(): Required<
  Pick<BundleOptions, 'workflowsPath' | 'preloadModules' | 'payloadConverterPath' | 'workflowInterceptorModules'>
> {
  const workflowsPath = beside('../workflows/index');
  const guard = beside('../workflows/payload-guard');
  return {
    workflowsPath,
    preloadModules: [workflowsPath, guard],
    workflowInterceptorModules: [guard],
    payloadConverterPath,
  };
}
