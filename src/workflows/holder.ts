import { CancellationScope, condition, setHandler, setWorkflowOptions } from '@temporalio/workflow';
import type { PackedTriggers } from '../contract/holder.ts';
import { releaseSignal } from './messages.ts';

// Waits for weeks at times and never continues as new: it goes over to a newer build, which replays it.
setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, holder);

/**
 * Keeps waiting triggers for a job: they are its input, read from its history by whoever wants them, so that no worker has to replay it.
 * Ends when it is released. Cancelling it changes nothing: its triggers are the job's, and still wait.
 */
export async function holder(_content: PackedTriggers): Promise<void> {
  let isReleased = false;
  setHandler(releaseSignal, () => {
    isReleased = true;
  });
  await CancellationScope.nonCancellable(() => condition(() => isReleased));
}
