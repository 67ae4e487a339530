import { Context } from '@temporalio/activity';

/** Says that the activity gets on; throws when nobody wants it any more. */
export function alive(): void {
  const context = Context.current();
  context.heartbeat();
  context.cancellationSignal.throwIfAborted();
}
