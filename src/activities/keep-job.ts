import type { Activities } from '../contract/ports.ts';
import type { CarriedJob } from '../domain/dispatcher/carried.ts';
import { type KeptJob, keptJobPresentation } from '../domain/kept-job.ts';
import { KEPT_JOB, keptWorkflowId } from '../domain/names.ts';
import type { SideWorkflows } from './side-workflows.ts';

/** The activity that keeps what a stopping job carries, in place of what was kept of that job before, which is older. */
export function createKeepJob(workflows: SideWorkflows): Activities['keepJob'] {
  return (jobWorkflowId, carried) => {
    // Only a job calls this, with the state that it would continue as new with; the contract does not know the domain's type.
    const kept: KeptJob = { v: 1, jobWorkflowId, carried: carried as CarriedJob };
    return workflows.start({
      type: KEPT_JOB,
      workflowId: keptWorkflowId(jobWorkflowId),
      input: kept,
      replaces: true,
      ...keptJobPresentation(kept, Date.now()),
    });
  };
}
