import { setTimeout } from 'node:timers/promises';
import { Refused } from './refusal.ts';

/**
 * What `doing` resolves with; what it rejects with.
 * @throws Refused when it takes longer than this: Temporal does not answer, and what was asked may still be done.
 */
export async function inTime<T>(ms: number, doing: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = setTimeout(ms, undefined, { signal: done.signal }).then(() => {
    throw new Refused(
      503,
      'ServerUnreachable',
      `There was no answer within ${Math.round(ms / 1000)} s, most likely since Temporal does not answer. What was asked may still be done: before you ask again, look.`,
      { retryAfterS: 5 },
    );
  });
  try {
    return await Promise.race([doing, late]);
  } finally {
    done.abort();
    late.catch(() => undefined);
    doing.catch(() => undefined);
  }
}
