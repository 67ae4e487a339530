import type { Activities, WorkflowStanding } from '../contract/ports.ts';
import { createDeliver, type DeliverDependencies } from './deliver.ts';
import { createListMembers } from './list-members.ts';
import { createPrepareJob, type PrepareDependencies } from './prepare-job.ts';

/** Everything that the activities touch. */
export interface ActivityDependencies extends DeliverDependencies, PrepareDependencies {
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
}

/** The activities over their dependencies; the worker makes them, tests make them over others. */
export function createActivities(dependencies: ActivityDependencies): Activities {
  return {
    deliver: createDeliver(dependencies),
    listMembers: createListMembers(dependencies.source),
    prepareJob: createPrepareJob(dependencies),
    lookUpWorkflow: dependencies.lookUpWorkflow,
  };
}
