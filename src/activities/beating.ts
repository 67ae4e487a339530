import { Context } from '@temporalio/activity';

const HEARTBEAT_MS = 1_000;

/** Heartbeats while `work` runs, so that another worker soon takes over when this one is killed. */
export async function beating<T>(work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
  }
}
