/** The oldest holder, which could not be read: what stands behind it waits. Plain JSON. */
export interface UnreadableHolder {
  readonly number: number;
  /** Why, in words. */
  readonly reason: string;
  /** Epoch ms at which it could not be read for the first time. */
  readonly since: number;
  /** How often in a row. */
  readonly tries: number;
  /** Epoch ms before which it is not read again. */
  readonly retryAt: number;
}

/** A holder that could not be read is read again after this long, in ms, then at twice the interval each time, … */
const FIRST_AGAIN_MS = 5_000;
/** … up to this. */
const MOST_AGAIN_MS = 10 * 60_000;
/** From this many failures in a row on, people are told: until then the server may just have been unhealthy. */
const TOLD_FROM_TRIES = 3;
const REASON_LENGTH = 200;
/** Most bytes of one as it is carried: its reason, whatever its characters, and the rest. */
export const UNREADABLE_BYTES = 3 * REASON_LENGTH + 150;

/**
 * What is known once a holder could not be read. Holders are read ahead: only the oldest that failed counts, since those after it are read again
 * once it is.
 */
export function readingFailed(
  before: UnreadableHolder | undefined,
  number: number,
  reason: string,
  now: number,
): UnreadableHolder {
  if (before !== undefined && before.number < number) return before;
  const same = before?.number === number ? before : undefined;
  const tries = (same?.tries ?? 0) + 1;
  const retryAt = now + Math.min(MOST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** Math.min(tries - 1, 20));
  return { number, reason: reason.slice(0, REASON_LENGTH), since: same?.since ?? now, tries, retryAt };
}

/** Whether people should know of it. */
export function isTold(holder: UnreadableHolder | undefined): holder is UnreadableHolder {
  return holder !== undefined && holder.tries >= TOLD_FROM_TRIES;
}
