import { remediesOf } from '../client/errors.ts';
import { type Remedy, remedyLine, type RemedyWords } from '../domain/remedy.ts';

/** The command that does each. */
const COMMANDS: RemedyWords = {
  listJobs: () => 'triggers list',
  status: ({ job = 'JOB' }) => `triggers status ${job}`,
  start: () => 'triggers start',
  edit: ({ job = 'JOB' }) => `triggers edit ${job} …`,
  resume: ({ job = 'JOB' }) => `triggers resume ${job}`,
  recover: ({ job = 'JOB' }) => `triggers recover ${job}`,
  discard: ({ job = 'JOB' }) => `triggers stop ${job} --waiting discard`,
  discardRecoverable: () => 'triggers start … --discard-recoverable',
  listWatches: () => 'triggers watch --list',
  listDeadLetters: () => 'triggers dead-letters list',
  deadLetter: ({ id = 'ID' }) => `triggers dead-letters show ${id}`,
  force: () => 'add --force',
  render: () => 'triggers render',
  startWorker: () => 'triggers worker (or everything at once: triggers up)',
  startTemporal: () => 'triggers up',
  findTest: () => undefined,
};

/** `Resume it: triggers resume crm` */
export function commandLine(remedy: Remedy): string {
  return remedyLine(remedy, COMMANDS);
}

/** What a person can do about a failure, line by line. */
export function remedyLines(error: unknown): string[] {
  return remediesOf(error).map(commandLine);
}

/** What happened, and what to do. */
export function withRemedies(error: Error): string {
  return [error.message, ...remedyLines(error)].join('\n');
}
