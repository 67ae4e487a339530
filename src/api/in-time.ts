import { Refused } from './refusal.ts';

/**
 * What `doing` resolves with; what it rejects with. What may hang for ever gets its end within `doing`: as long as that is open, so is the wait.
 * @throws Refused when it takes longer than this: Temporal does not answer, and what was asked may still be done.
 */
export async function inTime<T>(ms: number, doing: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    // No signal and no race: this is done for each trigger that comes alone, and an aborted one costs more than reading it.
    const timer = setTimeout(() => {
      reject(
        new Refused(
          503,
          'ServerUnreachable',
          `There was no answer within ${Math.round(ms / 1000)} s, most likely since Temporal does not answer. What was asked may still be done: before you ask again, look.`,
          { retryAfterS: 5 },
        ),
      );
    }, ms);
    doing.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
