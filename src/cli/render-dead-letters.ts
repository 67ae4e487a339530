import type { DeadLetterReport, DeadLetterSummary } from '../client/export-jobs.ts';
import type { DeadLetterState } from '../contract/dead-letter.ts';
import { failureInWords } from '../domain/attempt-codes.ts';
import { printable } from '../domain/printable.ts';
import { count, fromNow } from './numbers.ts';
import { field, wrap } from './render.ts';
import { type Paint, plain, type Style } from './terminal.ts';

/** One dead letter of the list: its id and the last result, then what it is. */
export function summaryLines(
  letter: DeadLetterSummary,
  options: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const { nowMs, columns = 80, paint = plain } = options;
  const { id, jobId, user, audience, event, failure, diedAt, notice } = letter;
  const lines = [
    `${event} of ${user}, ${audience}, job ${jobId}`,
    ...(notice === undefined ? [] : [`Not redelivered: ${notice}`]),
  ];
  return [
    `${paint('bold', printable(id))}  ${printable(failure)}, ${fromNow(diedAt, nowMs)}`,
    ...lines.flatMap((line) => wrap(printable(line), Math.max(20, columns - 2))).map((line) => `  ${line}`),
  ];
}

const STATES: Readonly<Record<DeadLetterState, { style: Style; words: string }>> = {
  waiting: { style: 'red', words: 'waits for a decision' },
  redelivering: { style: 'yellow', words: 'is being redelivered: the source, then the job, is asked' },
  redelivered: { style: 'green', words: 'redelivered: it is with its job again' },
  discarded: { style: 'dim', words: 'discarded' },
  expired: { style: 'dim', words: 'expired: nobody decided in time' },
};

/** All about one dead letter, at most `columns` wide. */
export function reportLines(
  letter: DeadLetterReport,
  options: { nowMs: number; columns?: number; paint?: Paint },
): string[] {
  const { nowMs, columns = 80, paint = plain } = options;
  const { style, words } = STATES[letter.state];
  const rows: (readonly [string, string | undefined])[] = [
    ['State', paint(style, words)],
    ['Person', printable(letter.user)],
    ['Trigger', `${letter.event}, at ${printable(letter.at)}`],
    ['Audience', printable(`${letter.audience.slug} (${letter.audience.name})`)],
    ['Job', printable(letter.jobId)],
    ['Last attempt', printable(lastAttempt(letter, nowMs))],
    ['Attempts', count(letter.attempts)],
    ['Given up', fromNow(letter.diedAt, nowMs)],
    ['Redelivered', letter.redeliveries === 0 ? undefined : times(letter.redeliveries)],
    ['Delivery id', printable(letter.deliveryId)],
    ['Not sent', letter.notice && paint('yellow', printable(letter.notice))],
    ...nextRows(letter, nowMs),
  ];
  return [
    `Dead letter ${paint('bold', printable(letter.id))}`,
    ...rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : field(name, value, columns))),
  ];
}

function lastAttempt({ failure }: DeadLetterReport, nowMs: number): string {
  const said = failure.answer === undefined || failure.answer === '' ? '' : `: ${failure.answer}`;
  return `${failureInWords(failure)}, ${fromNow(failure.at, nowMs)}${said}`;
}

function times(redeliveries: number): string {
  return redeliveries === 1 ? 'once before' : `${count(redeliveries)} times before`;
}

/** What a person can do now. */
function nextRows({ id, state, notice, expiresAt }: DeadLetterReport, nowMs: number): (readonly [string, string])[] {
  if (state !== 'waiting') return [];
  const force = notice === undefined ? '' : ' --force';
  return [
    ['Next', `Once the cause is fixed, send it: triggers dead-letters redeliver ${printable(id)}${force}`],
    ['', `Or drop it: triggers dead-letters discard ${printable(id)}`],
    ['', `Without a decision it expires ${fromNow(expiresAt, nowMs)}.`],
  ];
}
