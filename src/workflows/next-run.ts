import { makeContinueAsNewFunc, type Workflow, workflowInfo } from '@temporalio/workflow';

/**
 * Continues as new on the build that is current at that time: a run stays on the build that began it, and where it ends the workflow moves
 * on. Without worker versioning, it continues on any worker.
 *
 * @param memo of the next run; default: that with which this run began, whatever has become of it since.
 */
export async function continueAsNewOnCurrentBuild<F extends Workflow>(
  args: Parameters<F>,
  memo?: Record<string, unknown>,
): Promise<never> {
  const shown = memo === undefined ? {} : { memo };
  return await makeContinueAsNewFunc<F>({ initialVersioningBehavior: 'AUTO_UPGRADE', ...shown })(...args);
}

/** Whether a run should end soon, because it is getting long or another build is current. Changes only between workflow tasks. */
export function isNextRunWanted(): boolean {
  const { continueAsNewSuggested, targetWorkerDeploymentVersionChanged } = workflowInfo();
  return continueAsNewSuggested || targetWorkerDeploymentVersionChanged;
}
