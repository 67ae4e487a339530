import { rm } from 'node:fs/promises';
import { audienceFolder } from '../../snapshots/member-files.ts';
import {
  createConfirmExits,
  createPublishChanges,
  createPublishMissed,
  type PublishDependencies,
} from './publish-changes.ts';
import type { WatchActivities } from './sandbox/ports.ts';
import { createPrepareWatch, createScanMembers, type WatchDependencies } from './scan-members.ts';

export type WatchingDependencies = WatchDependencies & PublishDependencies;

/** The activities of watches. */
export function createWatchActivities(dependencies: WatchingDependencies): WatchActivities {
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
