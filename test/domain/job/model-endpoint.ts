import type { FailedAttempt, SliceInput, SliceReport } from '../../../src/contract/slice.ts';

/** How an endpoint answers one trigger in the model. */
export type Answer =
  | 'ok'
  | 'given up'
  | 'pausing'
  | 'tried again'
  | 500
  | 404
  | 400
  | 410
  | 429
  | '429 now'
  | '503 now'
  | 'source'
  | 'profile'
  | 'unsent';

/**
 * What becomes of a slice whose triggers are answered in turn so. `delivered`: places in the slice; `asked`: how many requests were made.
 *
 * @param most how many there can have been; the others were not sent.
 */
export function answerSlice(
  slice: SliceInput,
  answers: readonly Answer[],
  most: number,
): { report: SliceReport; delivered: number[]; asked: number } {
  const failed: FailedAttempt[] = [];
  const unsent: number[] = [];
  const delivered: number[] = [];
  let blocked: string | undefined;
  let asked = 0;
  for (const [index, trigger] of slice.triggers.entries()) {
    const drawn = answers[index % Math.max(1, answers.length)] ?? 'ok';
    const isAsked = drawn !== 'source' && drawn !== 'profile' && drawn !== 'unsent';
    const answer = isAsked && asked >= most ? 'unsent' : drawn;
    if (trigger.user !== blocked && answer !== 'unsent' && isAsked) asked++;
    if (trigger.user === blocked || answer === 'unsent') {
      unsent.push(index);
      blocked = trigger.user;
    } else if (answer === 'ok') {
      delivered.push(index);
    } else {
      blocked = trigger.user;
      failed.push({ index, durationMs: 1, ...attemptOf(answer) });
    }
  }
  return { report: { failed, unsent, sendingMs: 10 }, delivered, asked };
}

function attemptOf(answer: Exclude<Answer, 'ok' | 'unsent'>): Partial<FailedAttempt> {
  if (answer === 'given up') return { status: 409, as: 'given-up' };
  if (answer === 'pausing') return { status: 423, as: 'pausing' };
  if (answer === 'tried again') return { status: 400, as: 'transient' };
  if (answer === 'source') return { code: 'SOURCE_UNAVAILABLE' };
  if (answer === 'profile') return { code: 'PROFILE_MISSING' };
  if (answer === '429 now' || answer === '503 now') return { status: Number(answer.slice(0, 3)), retryAfterMs: 0 };
  return answer === 429 ? { status: 429, retryAfterMs: 2000 } : { status: answer };
}
