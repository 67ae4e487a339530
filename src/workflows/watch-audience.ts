import type { WatchState, WatchStatus } from '../contract/watch.ts';
import { refuseNewer } from '../domain/newer-state.ts';
import { continueAsNewOnCurrentBuild, isNextRunWanted } from './next-run.ts';
import { WatchRun } from './watch-run.ts';

/** After this many rounds and failures, of about 20 events each, a run continues as new, so that its history stays short. */
const TURNS_PER_RUN = 100;

/**
 * Watches one audience: reads its members again and again, compares them with the last time, and signals to every running job that listens
 * who entered and who left. The activities keep on disk who the members were; only this workflow knows which snapshot counts.
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
