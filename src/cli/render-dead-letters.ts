import type { DeadLetterReport, DeadLetterSummary, DecisionExtent } from '../client/export-jobs.ts';
import { counted, printable, printableReason } from '../domain/shown.ts';
import { ATTEMPT_CODES, failureInWords } from '../domain/verdict.ts';
import { type Paint, plain, type Style, type Terminal } from './terminal.ts';
import { count, field, fromNow, wrap } from './text.ts';

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

/** What a decision is about, exactly: how many, of which jobs and audiences, and how many people. */
export function extentLines(
  { letters, jobs, audiences, people }: DecisionExtent,
  { columns, paint }: Pick<Terminal, 'columns' | 'paint'>,
): string[] {
  const isTwice = (slug: string): boolean => audiences.filter((one) => one.slug === slug).length > 1;
  // A slug may have been another audience's before.
  const named = audiences.map(({ id, slug, letters: own }) => ({
    name: isTwice(slug) && id !== undefined ? `${slug} (${id})` : slug,
    letters: own,
  }));
  return [
    paint('bold', `${counted(letters, 'dead letter')} of ${people === 1 ? '1 person' : `${count(people)} people`}`),
    ...field('Jobs', sums(jobs.map(({ jobId, letters: own }) => ({ name: jobId, letters: own }))), columns),
    ...field('Audiences', sums(named), columns),
  ];
}

function sums(parts: readonly { readonly name: string; readonly letters: number }[]): string {
  return parts.map(({ name, letters }) => `${printable(name)}: ${count(letters)}`).join(', ');
}

const STATES: Readonly<Record<DeadLetterReport['state'], { style: Style; words: string }>> = {
  waiting: { style: 'red', words: 'waits for a decision' },
  redelivering: { style: 'yellow', words: 'is being decided: the source, then the job, is asked' },
  redelivered: { style: 'green', words: 'redelivered: it is with its job again' },
  discarded: { style: 'dim', words: 'discarded' },
  expired: { style: 'dim', words: 'expired: nobody decided in time' },
  terminated: { style: 'red', words: 'its workflow was terminated: it neither waits nor is sent' },
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
    ['Not sent', letter.notice && paint('yellow', printableReason(letter.notice))],
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

/** Temporal's own way to have a workflow go on that was ended from outside. */
function resetCommand(id: string): string {
  return `temporal workflow reset --workflow-id dead-letter-${printable(id)} --type LastWorkflowTask --reason mistake`;
}

/** What a person can do now. */
function nextRows(report: DeadLetterReport, nowMs: number): (readonly [string, string])[] {
  const { id, state, forceable, failure, expiresAt } = report;
  if (state === 'terminated') return [['Next', `If that was a mistake: ${resetCommand(id)}`]];
  if (state !== 'waiting') return [];
  const expiry = ['', `Without a decision it expires ${fromNow(expiresAt, nowMs)}.`] as const;
  if (failure.code === ATTEMPT_CODES.profileLost)
    return [
      ['Next', 'It cannot be sent without the profile that it came with: push the trigger again.'],
      ['', `Then drop this one: triggers dead-letters discard ${printable(id)}`],
      expiry,
    ];
  const force = forceable === true ? ' --force' : '';
  return [
    ['Next', `Once the cause is fixed, send it: triggers dead-letters redeliver ${printable(id)}${force}`],
    ['', `Or drop it: triggers dead-letters discard ${printable(id)}`],
    expiry,
  ];
}
