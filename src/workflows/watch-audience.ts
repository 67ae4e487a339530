import type { WatchState, WatchStatus } from '../contract/watch.ts';
import { refuseNewer } from '../domain/newer-state.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from './next-run.ts';
import { WatchRun } from './watch-run.ts';

/** Rounds and failures of a run before it continues as new, so that its history stays short: about 20 events each. */
const TURNS_PER_RUN = 100;

/**
 * Watches one audience: reads its members again and again, compares them with the last time, and tells every running job that listens who entered and who
 * left. Who the members were is on disk, with the activities; which of what is on disk counts is known here alone.
 */
export async function watchAudience(state: WatchState): Promise<WatchStatus> {
  refuseNewer('The state of this watch', state);
  const run = new WatchRun(state);
  for (let turns = 0; ; turns++) {
    await run.untilDue();
    if (run.isStopped) break;
    if (turns >= TURNS_PER_RUN || isNextRunWanted())
      await continueAsNewOnCurrentBuild<typeof watchAudience>(run.carry());
    await run.turn();
    if (run.isStopped) break;
  }
  return await run.end();
}
