import { Context } from '@temporalio/activity';

/** Often enough that little is repeated after a crash; each may cost the job's lock and an action. */
const HEARTBEAT_MS = 1_000;

/**
 * Heartbeats while `work` runs, so that another worker soon takes over when this one is killed.
 * @param beat called at each time for a heartbeat. Default: one without details.
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
