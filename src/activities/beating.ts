import { Context } from '@temporalio/activity';

const HEARTBEAT_MS = 1_000;

/** Says to the server that the worker is alive while the work lasts, so that the work of one that is killed is soon done by another. */
export async function beating<T>(work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const heartbeat = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
  }
}
