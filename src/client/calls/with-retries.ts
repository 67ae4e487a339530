import { setTimeout } from 'node:timers/promises';
import { isTransient } from './server-errors.ts';

/** How long one request is retried, in ms, unless given otherwise. */
export const PATIENCE_MS = 5 * 60_000;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** Shortest time for a call, in ms, even at the end of the patience. */
const SHORTEST_MS = 1_000;

export interface RetryPolicy {
  /** When to give up, in terms of `performance.now()`. */
  readonly deadlineMs: number;
  /** Aborting it ends the wait; its reason is then thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Whether asking again may help after this error. Default: after trouble with the server. */
  readonly mayHelp?: (error: unknown) => boolean;
  /** Called before each pause, with the error. */
  readonly onPause?: (error: unknown) => void;
}

/**
 * Asks again and again, after 100 ms, doubling up to 5 s, as long as that may help; then throws the last error.
 * @param ask is given how long it may take, in ms.
 */
export async function withRetries<T>(ask: (withinMs: number) => Promise<T>, patience: RetryPolicy): Promise<T> {
  const { deadlineMs, signal, mayHelp = isTransient, onPause } = patience;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await ask(Math.max(SHORTEST_MS, deadlineMs - performance.now()));
    } catch (error) {
      if (!mayHelp(error) || performance.now() + pauseMs > deadlineMs) throw error;
      onPause?.(error);
      await sleep(pauseMs, signal);
    }
  }
}

/** Rejects with the signal's reason when it is aborted. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
}

/** Resolves like `doing`, or rejects with the reason of `stop` as soon as that is aborted, even if `doing` hangs. */
export async function unless<T>(stop: AbortSignal, doing: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(asError(stop.reason));
    stop.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
    void doing.then(resolve, reject).finally(() => stop.removeEventListener('abort', abort));
  });
}

export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The input failed.', { cause: reason });
}
