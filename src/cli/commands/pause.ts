import type { ExportJobs, JobStatus } from '../../client/export-jobs.ts';
import { counted } from '../../domain/shown.ts';
import { command, type CommandMaker } from '../command.ts';
import { withJobs } from '../jobs.ts';

export const pauseCommand = jobCommand({
  name: 'pause',
  description: 'start no more requests for a job; its triggers wait',
  examples: ['triggers pause vip-to-crm'],
  ask: (jobs, job) => jobs.pause(job),
  inWords: (job) => `Paused ${job}. Triggers are still accepted, and wait. Resume it with: triggers resume ${job}`,
});

export const resumeCommand = jobCommand({
  name: 'resume',
  description: 'let a paused job send again, or start a stopped one from what it kept',
  examples: ['triggers resume vip-to-crm'],
  ask: (jobs, job) => jobs.resume(job),
  inWords: resumedText,
});

export const retryCommand = jobCommand({
  name: 'retry',
  description: 'try now what waits for its next attempt, such as after an endpoint was mended',
  notes: `An endpoint that is unwell gets one request first; if it takes it, the others
follow. The job need not wait out what it was asked to wait (Retry-After).`,
  examples: ['triggers retry vip-to-crm'],
  ask: (jobs, job) => jobs.retry(job),
  inWords: (job, { waiting }) =>
    waiting === 0
      ? `Nothing waits in ${job}, so there was nothing to try.`
      : `${job} tries now; ${counted(waiting, 'trigger')} waiting. See what comes of it: triggers status ${job} --watch`,
});

/** A command that asks a job for one thing, and says how the job is then. */
function jobCommand({
  ask,
  inWords,
  ...terms
}: Pick<Parameters<typeof command>[0], 'name' | 'description' | 'notes' | 'examples'> & {
  readonly ask: (jobs: ExportJobs, job: string) => Promise<JobStatus>;
  readonly inWords: (job: string, status: JobStatus) => string;
}): CommandMaker {
  return command({
    ...terms,
    takes: (it) => it.argument('<job>', 'id of the job'),
    json: ': the status',
    async run([job], _options, { print }) {
      const status = await withJobs((jobs) => ask(jobs, job));
      print(status, () => inWords(job, status));
    },
  });
}

/** A job that is being stopped, and sends what waits first, may have been paused by its endpoint: resumed, it is stopping all the same. */
export function resumedText(
  job: string,
  { state, reason, waiting }: Pick<JobStatus, 'state' | 'reason' | 'waiting'>,
): string {
  const rest = state === 'stopping' ? ` It is still stopping${reason === undefined ? '.' : `: ${reason}`}` : '';
  return `Resumed ${job}; ${counted(waiting, 'trigger')} waiting.${rest}`;
}
