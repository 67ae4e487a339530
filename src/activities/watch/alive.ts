import { Context } from '@temporalio/activity';

/** Heartbeats that the activity is making progress; throws when it is no longer wanted. */
export function alive(): void {
  const context = Context.current();
  context.heartbeat();
  context.cancellationSignal.throwIfAborted();
}
