import { CancellationScope, condition, setHandler } from '@temporalio/workflow';
import type { PackedTriggers } from '../contract/holder.ts';
import { readNothing } from '../domain/requests.ts';
import { INTERNAL } from './answering.ts';
import { releaseSignal } from './messages.ts';

/**
 * Keeps waiting triggers for a job. They are its input and are read from its history, so that no worker has to replay it. Ends when it is
 * released. Cancelling it changes nothing: its triggers belong to the job and are still waiting.
 */
export async function holder(_content: PackedTriggers): Promise<void> {
  let isReleased = false;
  // Its job signals this without an argument: with one, it is meant for something else.
  const release = (...args: unknown[]): void => {
    isReleased ||= readNothing(args).ok;
  };
  setHandler(releaseSignal, release, { description: INTERNAL });
  await CancellationScope.nonCancellable(() => condition(() => isReleased));
}
