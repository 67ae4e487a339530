import { rm } from 'node:fs/promises';
import { Context } from '@temporalio/activity';
import type { Activities, SideWorkflows, WorkflowStanding } from '../contract/ports.ts';
import { type AlertDependencies, createRaiseAlerts, createSendAlert } from '../activities/alerts.ts';
import { beating } from '../activities/beating.ts';
import { calendarOf } from '../activities/calendar.ts';
import { createDeliver, type DeliverDependencies } from '../activities/deliver.ts';
import { createDifferences } from '../activities/differences.ts';
import {
  SpilledProfileReader,
  createAnswerLetters,
  createHolders,
  createKeepDeadLetters,
} from '../activities/holders.ts';
import { createAudienceLists, createCountMembers, createListMembers } from '../activities/list-members.ts';
import { createTold, type ToldDependencies } from '../activities/told.ts';
import { createPrepareJob, type PrepareDependencies } from '../activities/prepare-job.ts';
import { createSamples, type SampleDependencies } from '../activities/samples.ts';
import {
  createConfirmExits,
  createPublishChanges,
  createPublishMissed,
  type PublishDependencies,
} from '../activities/watch/publish-changes.ts';
import { createPrepareWatch, createScanMembers, type WatchDependencies } from '../activities/watch/scan-members.ts';
import { audienceFolder } from '../activities/watch/snapshot.ts';

/** Everything outside the process that the activities use. */
export interface ActivityDependencies
  extends
    Omit<DeliverDependencies, 'spilledProfiles'>,
    PrepareDependencies,
    AlertDependencies,
    PublishDependencies,
    SampleDependencies,
    ToldDependencies {
  readonly describeWorker: Activities['describeWorker'];
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
  readonly sideWorkflows: SideWorkflows;
}

/** The activities, made with their dependencies: the worker passes real ones, tests pass others. */
export function createActivities(dependencies: ActivityDependencies): Activities {
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
export function createWatchActivities(
  dependencies: WatchDependencies & PublishDependencies,
): Pick<
  Activities,
  'prepareWatch' | 'scanMembers' | 'confirmExits' | 'publishChanges' | 'publishMissed' | 'forgetSnapshots'
> {
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
