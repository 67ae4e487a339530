import type { WorkerRpc } from '../../../domain/worker-rpc.ts';
import type { ConfirmedChanges, PreparedWatch, PublishReport, ScanReport, ScanRequest } from './watch.ts';

/** The activities of watches. */
export interface WatchActivities {
  /** Looks up the audiences to be watched, and says whether this worker can watch. Fails only when the source does. */
  readonly prepareWatch: (names: readonly string[]) => Promise<PreparedWatch>;
  /** Writes down who is a member, and how that differs from the last time. Fails when the source cannot be read to the end. */
  readonly scanMembers: (request: ScanRequest) => Promise<ScanReport>;
  /** Asks the source about each exit of a scan, and writes down the changes to publish. */
  readonly confirmExits: (audience: string, scanId: string) => Promise<ConfirmedChanges>;
  /** Signals a scan's changes, with this time as `at`, to each running job that subscribes; when repeated, it continues where it was. */
  readonly publishChanges: (audience: string, scanId: string, at: string) => Promise<PublishReport>;
  /** Signals the changes of missed rounds to jobs that run again. */
  readonly publishMissed: (audience: string) => Promise<PublishReport>;
  /** Removes what is on disk about an audience. */
  readonly forgetSnapshots: (audience: string) => Promise<void>;
}

export const PREPARE_WATCH: WorkerRpc<WatchActivities['prepareWatch']> = {
  method: 'prepareWatch',
  id: 'check-watch',
  summary: 'Checks audiences before they are watched',
  runs: 'short',
};

/** Finds the changes of an audience whose source has no event stream. */
export const WATCH_AUDIENCE = 'watchAudience';

/** One watch for each audience, by its canonical id. */
export function watchWorkflowId(audienceId: string): string {
  return `watch-${audienceId}`;
}
