import { Context } from '@temporalio/activity';

/** Often enough that little is repeated after a crash; each heartbeat may cost the job's lock and an action. */
const HEARTBEAT_MS = 1_000;

/**
 * Heartbeats while `work` runs: if this worker is killed, another one soon takes over.
 * @param beat called for each heartbeat. Default: one without details.
 */
export async function beating<T>(work: () => Promise<T>, beat = plainHeartbeat()): Promise<T> {
  const heartbeat = setInterval(beat, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
  }
}

function plainHeartbeat(): () => void {
  const context = Context.current();
  return () => context.heartbeat();
}

/** Heartbeats that the activity is making progress; throws when it is no longer wanted. */
export function alive(): void {
  const context = Context.current();
  context.heartbeat();
  context.cancellationSignal.throwIfAborted();
}
