import type { Remedy, RemedyAction } from '../contract/remedy.ts';

/**
 * The beginning of a line that says what a person can do about a failure, by action. Each interface ends the line in its own words: the
 * command line with a command, the API with a request, the console with a button.
 */
export const REMEDIES = {
  listJobs: 'See all jobs',
  status: 'See the job',
  logged: 'See its deliveries',
  start: 'Start it again',
  edit: 'Change it',
  resume: 'Resume it',
  recover: 'Recover it',
  discard: 'Discard its kept triggers',
  discardRecoverable: 'Give it up for good',
  listWatches: 'See all watches',
  listDeadLetters: 'See all dead letters',
  deadLetter: 'See the dead letter',
  force: 'Send it anyway',
  render: 'See the message without sending it',
  startWorker: 'Start a worker',
  startTemporal: 'Start Temporal on this machine',
  findTest: 'See whether the endpoint got a request whose "webhook-id" begins with "test-"',
} as const satisfies Readonly<Record<RemedyAction, string>>;

/** How one interface says where each is done; undefined where there is nothing to add. */
export type RemedyWords = Readonly<Record<RemedyAction, (remedy: Remedy) => string | undefined>>;

/** A remedy as a line: `Resume it: triggers resume crm`. */
export function remedyLine(remedy: Remedy, words: RemedyWords): string {
  const where = words[remedy.action](remedy);
  const lead = REMEDIES[remedy.action];
  return where === undefined ? `${lead}.` : `${lead}: ${where}`;
}
