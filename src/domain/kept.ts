import type { KeptBackfill } from '../contract/job-status.ts';
import { shownCount } from './shown.ts';

/** How far a backfill had come that goes on with its job. */
export function keptBackfillInWords({ n, taken, expected }: KeptBackfill): string {
  const read = expected === undefined ? shownCount(taken) : `${shownCount(taken)} of ${shownCount(expected)}`;
  return `backfill ${n} (${read} members read)`;
}

/** Dead letters that nobody else can send, in words that continue a sentence. */
export function andLetters(count: number): string {
  if (count === 0) return '';
  return count === 1
    ? ', and a dead letter that only it can send'
    : `, and ${count} dead letters that only it can send`;
}
