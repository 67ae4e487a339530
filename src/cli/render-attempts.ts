import type { Attempt } from '../client/export-jobs.ts';
import { failureInWords } from '../domain/attempt-codes.ts';
import { printable } from '../domain/printable.ts';
import { duration } from './numbers.ts';
import { wrap } from './render.ts';
import { type Paint, plain } from './terminal.ts';

const TIME_WIDTH = 12;
/** As many characters as the receiver shows: enough to find one in a log. */
const ID_DIGITS = 12;

/** The time of day of an RFC 3339 time, in UTC. */
export function timeOfDay(at: string): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** A line about something that happened at a time; its continuation lines are indented. */
export function timedLines(at: string, text: string, columns: number): string[] {
  return wrap(text, Math.max(20, columns - TIME_WIDTH)).map(
    (line, row) => `  ${(row === 0 ? timeOfDay(at) : '').padEnd(TIME_WIDTH - 2)}${line}`,
  );
}

/** What came of an attempt, in words: `HTTP 503 in 84 ms "busy"`. */
export function cameTo(attempt: Attempt, paint: Paint): string {
  const { outcome, verdict, durationMs, answer } = attempt;
  switch (outcome) {
    case 'delivered':
      return paint('green', 'delivered');
    case 'unsent':
      return 'returned unsent, since its slice ended first';
    case 'running':
      return 'is being sent now';
    case 'unknown':
      return paint(
        'yellow',
        'its slice was lost, so it may have been sent; it will be sent again, with the same webhook-id',
      );
    case 'failed': {
      // No request was made, so there is no duration, and the text is the reason.
      const took = durationMs === undefined || durationMs === 0 ? '' : ` in ${Math.round(durationMs)} ms`;
      const said = answer === undefined || answer === '' ? '' : ` "${printable(answer)}"`;
      return paint('red', failureInWords(attempt)) + took + said + meaning(verdict, attempt);
    }
  }
}

function meaning(verdict: Attempt['verdict'], { retryAfterMs }: Attempt): string {
  if (verdict === 'throttled')
    return `, which asks the whole job to wait${retryAfterMs === undefined ? '' : ` ${duration(retryAfterMs)}`}`;
  return verdict === 'gone' ? ', which asks never to be called again' : '';
}

/** `webhook-id f1c51a9fc5c2…` */
export function shownId(deliveryId: string): string {
  return `webhook-id ${deliveryId.slice(0, ID_DIGITS)}…`;
}

/** One attempt of the list: when, what, whose, and with what result. */
export function attemptLines(attempt: Attempt, options: { columns?: number; paint?: Paint } = {}): string[] {
  const { columns = 80, paint = plain } = options;
  const { endedAt, startedAt, user, event, audience, deliveryId } = attempt;
  const text = `${event} of ${printable(user)}, ${printable(audience)}: ${cameTo(attempt, paint)}; ${shownId(deliveryId)}`;
  return timedLines(endedAt ?? startedAt ?? attempt.triggerAt, text, columns);
}
