import type { DeedOptions, JobClient, JobStatus } from '../../client/job-client.ts';
import type { KeptTriggers } from '../../contract/job-status.ts';
import { counted } from '../../domain/text.ts';
import { command, type CommandMaker, withJobs } from '../command.ts';
import { PartlyDone } from '../exit-code.ts';
import { REASON } from '../options.ts';

export const pauseCommand = jobCommand({
  name: 'pause',
  description: 'stop sending for a job; its triggers wait',
  examples: ['triggers pause vip-to-crm --reason "their database moves"'],
  ask: (jobs, job, deed) => jobs.pause(job, deed),
  inWords: (job, status) =>
    `Paused ${job}.${inFlightText(status)} Triggers are still accepted, and wait. Resume it with: triggers resume ${job}`,
});

/** The text about requests that a job began before it was told to begin no more. */
export function inFlightText({ inFlight }: Pick<JobStatus, 'inFlight'>): string {
  return inFlight === 0 ? '' : ` ${counted(inFlight, 'request')} in flight may still arrive.`;
}

/** @throws PartlyDone when a job was told to begin no more requests, and not all workers have confirmed it */
export function refuseUnconfirmed(job: string, { mayStillSend }: Pick<JobStatus, 'mayStillSend'>): void {
  if (mayStillSend === true)
    throw new PartlyDone(
      `${job} may still begin requests: not all of its workers confirmed within 5 s that they have stopped. Look again: triggers status ${job}`,
      0,
      0,
      1,
    );
}

export const resumeCommand = jobCommand({
  name: 'resume',
  description: 'resume a paused job, or a stopped one with the triggers that it kept',
  examples: ['triggers resume vip-to-crm'],
  before: (jobs, job) => jobs.status(job),
  ask: (jobs, job, deed) => jobs.resume(job, deed),
  inWords: resumedText,
});

export const retryCommand = jobCommand({
  name: 'retry',
  description: 'retry waiting triggers now, such as after an endpoint was fixed',
  notes: `An unhealthy endpoint gets one request first; if it accepts that, the others
follow. The job ignores a Retry-After that it is waiting for.`,
  examples: ['triggers retry vip-to-crm'],
  ask: (jobs, job, deed) => jobs.retry(job, deed),
  inWords: (job, { waiting }) =>
    waiting === 0
      ? `Nothing waits in ${job}, so there is nothing to retry.`
      : `${job} is retrying now; ${counted(waiting, 'trigger')} waiting. Follow it with: triggers status ${job} --watch`,
});

/** A command that makes one request to a job, and then shows the job's state. */
function jobCommand({
  before: look = async () => undefined,
  ask,
  inWords,
  ...terms
}: Pick<Parameters<typeof command>[0], 'name' | 'description' | 'notes' | 'examples'> & {
  /** The job's previous state, where the text depends on it. */
  readonly before?: (jobs: JobClient, job: string) => Promise<PausedJob | undefined>;
  readonly ask: (jobs: JobClient, job: string, deed: DeedOptions) => Promise<JobStatus>;
  readonly inWords: (job: string, status: JobStatus, before: PausedJob | undefined) => string;
}): CommandMaker {
  return command({
    ...terms,
    takes: (it) => it.argument('<job>', 'id of the job').option(...REASON),
    json: ': the status',
    async run([job], { reason }, { print }) {
      const { before, status } = await withJobs(async (jobs) => ({
        before: await look(jobs, job),
        status: await ask(jobs, job, { reason }),
      }));
      print(status, () => inWords(job, status, before));
      refuseUnconfirmed(job, status);
    },
  });
}

type PausedJob = Pick<JobStatus, 'state' | 'reason' | 'waiting'> & { readonly kept?: Pick<KeptTriggers, 'waiting'> };

/**
 * A job that is stopping, and sends its waiting triggers first, may have been paused by its endpoint. After a resume it is still stopping.
 * The job answers before it sends anything, so a stopped one that runs again still has all that it kept.
 */
export function resumedText(job: string, { state, reason, waiting }: PausedJob, before: PausedJob | undefined): string {
  const much = `${counted(waiting, 'trigger')} waiting.`;
  if (state === 'stopping') {
    // Only a pause by its endpoint gives a stopping job a different reason before the resume.
    const did = before?.reason === reason ? `${job} was not paused` : `${job} sends again`;
    return `${did}, and is still stopping; ${much} ${reason ?? ''} To undo the stop: triggers stop ${job} --waiting keep, then triggers resume ${job}`;
  }
  if (before?.kept !== undefined) return `Resumed ${job}, with ${counted(waiting, 'trigger')} that it had kept.`;
  if (before?.state === 'running') return `${job} was not paused; ${much}`;
  return `Resumed ${job}; ${much}`;
}
