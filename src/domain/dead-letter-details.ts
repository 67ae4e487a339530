import type { DeadLetterState, DeadLetterStatus } from '../contract/dead-letter.ts';
import { failureInWords } from './attempt-codes.ts';
import { detailsTable, shownTime } from './details-table.ts';

const STATES: Readonly<Record<DeadLetterState, string>> = {
  waiting:
    'Waits for a person. Signal "redeliver" to send it after all (last in its person\'s order, with the same id), or "discard" to drop it.',
  redelivering: 'To be sent after all; the source and the job are being asked.',
  redelivered: 'It is with its job again.',
  discarded: 'Dropped by a person.',
  expired: 'Nobody decided in time what to do with it.',
};

/** A dead letter as the Temporal UI shows it. */
export function deadLetterDetails(status: DeadLetterStatus): string {
  const { state, jobId, user, audience, event, at, failure, attempts, diedAt, expiresAt, notice } = status;
  const said = failure.answer === undefined || failure.answer === '' ? '' : ` "${failure.answer}"`;
  const rows: [string, string][] = [
    ['State', STATES[state]],
    ...(notice === undefined ? [] : [['Not redelivered', notice] as [string, string]]),
    ['Job', jobId],
    ['Person', user],
    ['Audience', `${audience.slug} (${audience.name})`],
    ['Event', `${event} at ${at}`],
    ['Last attempt', `${shownTime(failure.at)}: ${failureInWords(failure)}${said}`],
    ['Attempts', String(attempts)],
    ['Given up', shownTime(diedAt)],
    ['Kept until', shownTime(expiresAt)],
  ];
  return detailsTable(`${event} of ${user}`, rows);
}
