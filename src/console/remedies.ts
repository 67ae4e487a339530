import { type Remedy, remedyLine, type RemedyWords } from '../domain/remedy.ts';

/** Where a person does each. */
const PLACES: RemedyWords = {
  listJobs: () => 'the page “Jobs”',
  status: () => 'the page of the job',
  start: () => '“New job”',
  edit: () => '“Edit” on the page of the job',
  resume: () => '“Resume” on the page of the job',
  recover: () => '“Recover” on the page of the job',
  discard: () => '“Stop” on the page of the job, and “Discard it”',
  discardRecoverable: () => '“Start, and give that up”',
  listWatches: () => 'the page “Inputs”',
  listDeadLetters: () => 'the page “Dead letters”',
  deadLetter: () => 'the page “Dead letters”',
  force: () => 'the button below',
  render: () => '“The message” beside the form',
  startWorker: () => 'triggers worker',
  startTemporal: () => 'triggers up',
  findTest: () => undefined,
};

/** What a person can do about a failure, as a line for the page. */
export function remedyOnPage(remedy: Remedy): string {
  return remedyLine(remedy, PLACES);
}
