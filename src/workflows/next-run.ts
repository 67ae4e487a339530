import { makeContinueAsNewFunc, type Workflow, workflowInfo } from '@temporalio/workflow';

/**
 * Continues as new on the build that is current by then: a run stays with the build that began it, and where it ends the
 * workflow moves on. Without worker versioning, on whichever worker there is.
 */
export function continueAsNewOnCurrentBuild<F extends Workflow>(...args: Parameters<F>): Promise<never> {
  return makeContinueAsNewFunc<F>({ initialVersioningBehavior: 'AUTO_UPGRADE' })(...args);
}

/** Whether a run should end soon: it grows long, or another build is current. Changes from one workflow task to the next. */
export function isNextRunWanted(): boolean {
  const { continueAsNewSuggested, targetWorkerDeploymentVersionChanged } = workflowInfo();
  return continueAsNewSuggested || targetWorkerDeploymentVersionChanged;
}
