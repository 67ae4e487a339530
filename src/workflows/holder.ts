import { CancellationScope, condition, setHandler } from '@temporalio/workflow';
import type { SpilledProfiles, PackedTriggers } from '../contract/holder.ts';
import { isRecord } from '../domain/json.ts';
import { readNothing } from '../domain/requests.ts';
import { INTERNAL } from './answering.ts';
import { dropSignal } from './messages.ts';

/**
 * Keeps waiting triggers for a job. They are its input and are read from its history, so no worker has to replay it. Ends when it is
 * dropped. Cancelling it changes nothing: its triggers belong to the job and are still waiting. A profile holder begins only when it is
 * dropped, or after 365 days as an orphan, and returns at once.
 */
export async function holder(content: PackedTriggers | SpilledProfiles): Promise<void> {
  if (isRecord(content) && 'profiles' in content) return;
  let isDropped = false;
  // Its job signals this without an argument; a signal with one is meant for something else.
  const drop = (...args: unknown[]): void => {
    isDropped ||= readNothing(args).ok;
  };
  setHandler(dropSignal, drop, { description: INTERNAL });
  await CancellationScope.nonCancellable(() => condition(() => isDropped));
}
