import type { FieldChange, PlannedJob } from '../client/export-jobs.ts';
import { counted, printable } from '../domain/shown.ts';
import { changeLines } from './render-jobs.ts';
import { wrap } from './text.ts';

/** What there is to do about a job, as it is printed: without the secrets that its definition may have. */
export interface ShownJob {
  readonly jobId: string;
  /** Absent: it has none, and is stopped. */
  readonly file?: string;
  readonly action: PlannedJob['action'];
  readonly changes?: readonly FieldChange[];
  /** Whom a backfill under way would leave out. */
  readonly loss?: string;
  readonly warnings?: readonly string[];
  /** Whether everybody is sent first who is a member. */
  readonly existingUsers?: boolean;
  /** The job that it was before its file was renamed, most likely; that one is stopped. */
  readonly renames?: string;
  /** Triggers that wait in a job that is stopped. */
  readonly waiting?: number;
  readonly deadLettersWaiting?: number;
}

export function shownJob(job: PlannedJob, file: string | undefined): ShownJob {
  const { jobId, action } = job;
  const named = { jobId, ...(file === undefined ? {} : { file }), action };
  switch (job.action) {
    case 'create':
      return {
        ...named,
        existingUsers: job.existingUsers,
        ...(job.renames === undefined ? {} : { renames: job.renames }),
        warnings: job.warnings,
      };
    case 'change': {
      const { changes, loss, warnings } = job;
      return { ...named, changes, ...(loss === undefined ? {} : { loss }), warnings };
    }
    case 'unchanged':
      return named;
    case 'stop': {
      const { waiting, deadLettersWaiting } = job;
      return { ...named, waiting, ...(deadLettersWaiting === undefined ? {} : { deadLettersWaiting }) };
    }
  }
}

/** What is to be done, a job a line, with each change of a field; of what stays as it is, only how much that is. */
export function planLines(jobs: readonly ShownJob[], columns: number): string[] {
  const lines = jobs.flatMap((job) => (job.action === 'unchanged' ? [] : linesOf(job, columns)));
  const unchanged = jobs.filter(({ action }) => action === 'unchanged').length;
  return unchanged === 0 ? lines : [...lines, `${'unchanged'.padEnd(WIDTH)}${counted(unchanged, 'job')}`];
}

const WIDTH = 11;

function linesOf(
  { jobId, action, changes = [], warnings = [], existingUsers, waiting = 0 }: ShownJob,
  columns: number,
): string[] {
  const more =
    existingUsers === true
      ? ', and send everybody first who is a member'
      : waiting > 0
        ? `, after ${counted(waiting, 'waiting trigger')}`
        : '';
  return [
    `${action.padEnd(WIDTH)}${printable(jobId)}${more}`,
    ...changeLines(changes).map((line) => `${' '.repeat(WIDTH - 2)}${line}`),
    // What cannot be had back is said once, below all jobs: `extentText`.
    ...warnings.flatMap((text) => wrap(`${' '.repeat(WIDTH)}Warning: ${printable(text)}`, columns)),
  ];
}

/** What of a plan cannot be had back, exactly, in sentences; '' when that is nothing. */
export function extentText(jobs: readonly ShownJob[]): string {
  const stopped = jobs.filter(({ action }) => action === 'stop');
  const letters = stopped.flatMap(({ jobId, deadLettersWaiting = 0 }) =>
    deadLettersWaiting === 0 ? [] : [`${counted(deadLettersWaiting, 'dead letter')} of ${jobId}`],
  );
  return [
    ...(stopped.length === 0
      ? []
      : [
          `This stops ${stopped.map(({ jobId }) => jobId).join(', ')}: what waits there is sent first, for at most an hour.`,
        ]),
    ...(letters.length === 0 ? [] : [`Never to be sent then: ${letters.join(', ')}.`]),
    ...jobs.flatMap(({ jobId, loss }) => (loss === undefined ? [] : [`${jobId}: ${loss}`])),
  ].join(' ');
}

/** How many jobs that is. @param how what is said of each: it would be done, or was. */
export function countsText(jobs: readonly ShownJob[], how: 'would be' | 'was'): string {
  const parts = ACTIONS.flatMap(([action, word]) => {
    const count = jobs.filter((job) => job.action === action).length;
    return count === 0 ? [] : [`${counted(count, 'job')} ${how === 'was' && count > 1 ? 'were' : how} ${word}`];
  });
  const renamed = jobs.flatMap(({ jobId, renames }) =>
    renames === undefined ? [] : [` ${jobId} ${how === 'was' ? 'took' : 'would take'} the place of ${renames}.`],
  );
  return parts.length === 0 ? 'All jobs are like that already.' : `${parts.join(', ')}.${renamed.join('')}`;
}

const ACTIONS = [
  ['create', 'started'],
  ['change', 'changed'],
  ['stop', 'stopped'],
] as const;
