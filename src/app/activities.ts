import { Context } from '@temporalio/activity';
import { beating } from '../activities/beating.ts';
import { calendarOf } from '../activities/calendar.ts';
import { createDeliver, type DeliverDependencies } from '../activities/deliver.ts';
import {
  SpilledProfileReader,
  createAnswerLetters,
  createHolders,
  createKeepDeadLetters,
} from '../activities/holders.ts';
import { createAudienceLists, createCountMembers, createListMembers } from '../activities/list-members.ts';
import { logAlerts } from '../activities/log-alerts.ts';
import { createPrepareJob, type PrepareDependencies } from '../activities/prepare-job.ts';
import type { Activities, SideWorkflows, WorkflowStanding } from '../contract/ports.ts';
import { type AlertDependencies, createAlerts } from '../features/alerts/activities.ts';
import type { DoctorActivities } from '../features/doctor/ports.ts';
import { createSamples, type SampleDependencies } from '../features/preview/activities.ts';
import { createDifferences, type ReconcileDependencies } from '../features/reconcile/activities.ts';
import { createTold, type ToldDependencies } from '../features/replay/activities.ts';
import { createWatchActivities, type WatchingDependencies } from '../features/watch/activities.ts';

/** Everything outside the process that the activities use. */
export type ActivityDependencies = MachineDependencies &
  AlertDependencies &
  DoctorActivities &
  SampleDependencies &
  ReconcileDependencies &
  ToldDependencies &
  WatchingDependencies;

interface MachineDependencies extends Omit<DeliverDependencies, 'spilledProfiles'>, PrepareDependencies {
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
  readonly sideWorkflows: SideWorkflows;
}

/** The activities, made with their dependencies: the worker passes real ones, tests pass others. */
export function createActivities(dependencies: ActivityDependencies) {
  return {
    ...machineActivities(dependencies),
    ...createAlerts(dependencies),
    describeWorker: dependencies.describeWorker,
    ...createSamples(dependencies),
    ...createDifferences(dependencies),
    ...createTold(dependencies),
    ...createWatchActivities(dependencies),
  };
}

/** Jobs ask for these only with a feature, which brings them. */
type OfFeatures = 'listDifference' | 'forgetDifference' | 'listTold';

function machineActivities(dependencies: MachineDependencies): Omit<Activities, OfFeatures> {
  const { source, sideWorkflows } = dependencies;
  const listMembers = createListMembers(source);
  const spilledProfiles = new SpilledProfileReader(sideWorkflows);
  const prepareJob = createPrepareJob(dependencies);
  return {
    deliver: createDeliver({ ...dependencies, spilledProfiles }),
    listMembers: (...page) => beating(() => listMembers(...page)),
    countMembers: createCountMembers(source),
    isMember: (audience, user) => source.isMember(audience, user),
    prepareJob: async (definition) => await prepareJob(definition, Context.current().info.scheduledTimestampMs),
    readCalendar: async (settings, from) => calendarOf(settings, from),
    ...createAudienceLists(source),
    listAuthorizations: async () => dependencies.authorizations.list(),
    lookUpWorkflow: dependencies.lookUpWorkflow,
    ...createHolders(sideWorkflows),
    keepDeadLetters: createKeepDeadLetters(sideWorkflows, dependencies.tracing, spilledProfiles),
    answerLetters: createAnswerLetters(sideWorkflows),
    // A feature also sends them.
    raiseAlerts: async (alerts) => logAlerts(alerts),
  };
}
