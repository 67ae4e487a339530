import { rm } from 'node:fs/promises';
import { Context } from '@temporalio/activity';
import type { Activities, SideWorkflows, WorkflowStanding } from '../contract/ports.ts';
import { type AlertDependencies, createRaiseAlerts, createSendAlert } from '../features/alerts/activities.ts';
import { beating } from '../activities/beating.ts';
import { calendarOf } from '../activities/calendar.ts';
import { createDeliver, type DeliverDependencies } from '../activities/deliver.ts';
import { createDifferences } from '../features/reconcile/activities.ts';
import {
  SpilledProfileReader,
  createAnswerLetters,
  createHolders,
  createKeepDeadLetters,
} from '../activities/holders.ts';
import { createAudienceLists, createCountMembers, createListMembers } from '../activities/list-members.ts';
import { createTold, type ToldDependencies } from '../features/replay/activities.ts';
import { createPrepareJob, type PrepareDependencies } from '../activities/prepare-job.ts';
import { createSamples, type SampleDependencies } from '../features/preview/activities.ts';
import {
  createConfirmExits,
  createPublishChanges,
  createPublishMissed,
  type PublishDependencies,
} from '../features/watch/publish-changes.ts';
import { createPrepareWatch, createScanMembers, type WatchDependencies } from '../features/watch/scan-members.ts';
import { audienceFolder } from '../snapshots/member-files.ts';
import type { AlertActivities } from '../features/alerts/sandbox/ports.ts';
import type { DoctorActivities } from '../features/doctor/ports.ts';
import type { PreviewActivities } from '../features/preview/ports.ts';
import type { ReconcileActivities } from '../features/reconcile/ports.ts';
import type { ReplayActivities } from '../features/replay/ports.ts';
import type { WatchActivities } from '../features/watch/sandbox/ports.ts';

/** Everything outside the process that the activities use. */
export interface ActivityDependencies
  extends
    Omit<DeliverDependencies, 'spilledProfiles'>,
    PrepareDependencies,
    AlertDependencies,
    PublishDependencies,
    SampleDependencies,
    ToldDependencies {
  readonly describeWorker: DoctorActivities['describeWorker'];
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
  readonly sideWorkflows: SideWorkflows;
}

/** The activities of the machine and of all features. */
export type AllActivities = Activities &
  AlertActivities &
  DoctorActivities &
  PreviewActivities &
  ReconcileActivities &
  ReplayActivities &
  WatchActivities;

/** The activities, made with their dependencies: the worker passes real ones, tests pass others. */
export function createActivities(dependencies: ActivityDependencies): AllActivities {
  const { source, sideWorkflows } = dependencies;
  const listMembers = createListMembers(source);
  const { listDifference, ...differences } = createDifferences(dependencies);
  const { listTold, countTold } = createTold(dependencies);
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
    ...createSamples(dependencies),
    listAuthorizations: async () => dependencies.authorizations.list(),
    lookUpWorkflow: dependencies.lookUpWorkflow,
    describeWorker: dependencies.describeWorker,
    ...createHolders(sideWorkflows),
    keepDeadLetters: createKeepDeadLetters(sideWorkflows, dependencies.tracing, spilledProfiles),
    answerLetters: createAnswerLetters(sideWorkflows),
    raiseAlerts: createRaiseAlerts(dependencies),
    sendAlert: createSendAlert(dependencies),
    ...createWatchActivities(dependencies),
    listDifference: (...page) => beating(() => listDifference(...page)),
    ...differences,
    countTold,
    listTold: (...page) => beating(() => listTold(...page)),
  };
}

/** The activities of watches. */
export function createWatchActivities(dependencies: WatchDependencies & PublishDependencies): WatchActivities {
  return {
    prepareWatch: createPrepareWatch(dependencies),
    scanMembers: createScanMembers(dependencies),
    confirmExits: createConfirmExits(dependencies),
    publishChanges: createPublishChanges(dependencies),
    publishMissed: createPublishMissed(dependencies),
    forgetSnapshots: (audience) =>
      rm(audienceFolder(dependencies.watchFolder, audience), { recursive: true, force: true }),
  };
}
