import { rm } from 'node:fs/promises';
import type { Activities } from '../../contract/ports.ts';
import { createConfirmExits, createEmitChanges, createTellReturned, type EmitDependencies } from './emit-changes.ts';
import { createPrepareWatch, createScanMembers, type WatchDependencies } from './scan-members.ts';
import { audienceFolder } from './snapshot.ts';

/** The activities of watches. */
export function createWatchActivities(
  dependencies: WatchDependencies & EmitDependencies,
): Pick<
  Activities,
  'prepareWatch' | 'scanMembers' | 'confirmExits' | 'emitChanges' | 'tellReturned' | 'forgetSnapshots'
> {
  return {
    prepareWatch: createPrepareWatch(dependencies),
    scanMembers: createScanMembers(dependencies),
    confirmExits: createConfirmExits(dependencies),
    emitChanges: createEmitChanges(dependencies),
    tellReturned: createTellReturned(dependencies),
    forgetSnapshots: (audience) =>
      rm(audienceFolder(dependencies.watchFolder, audience), { recursive: true, force: true }),
  };
}
