import { nearestKey } from '../contract/nearest-key.ts';
import { deadLetterIdOf, jobIdOf } from '../domain/names.ts';
import { DeadLetterNotFound, JobNotFound } from './calls/errors.ts';
import type { JobClient } from './job-client.ts';

/** Most dead letters that are compared with an id that nobody knows: the newest. */
const MOST_LETTERS = 500;

/**
 * Returns the error for an unknown job or dead letter with the one that was most likely meant. Any other error is returned as it is.
 * @param mayName whether the caller may know of this job and its dead letters.
 * @param isLogged whether the delivery log has deliveries of a job: then it was meant, and Temporal has forgotten it.
 */
export async function withNearName(
  error: unknown,
  jobs: Pick<JobClient, 'list' | 'deadLetters'>,
  mayName: (jobId: string) => boolean = () => true,
  isLogged: (jobId: string) => Promise<boolean> = () => Promise.resolve(false),
): Promise<unknown> {
  try {
    if (error instanceof JobNotFound) {
      const { jobId } = error;
      if (mayName(jobId) && (await isLogged(jobId).catch(() => false)))
        return new JobNotFound(jobId, { isForgotten: true, cause: error });
      return new JobNotFound(jobId, { near: await nearestJob(jobId, jobs, mayName), cause: error });
    }
    if (error instanceof DeadLetterNotFound) {
      const { deadLetterId } = error;
      return new DeadLetterNotFound(deadLetterId, {
        near: await nearestLetter(deadLetterId, jobs, mayName),
        cause: error,
      });
    }
  } catch {
    // It has failed already, and the caller should see that error.
  }
  return error;
}

/** A job is found by its workflow's id, as the Temporal UI shows it, or by a similar id; undefined when there is none. */
async function nearestJob(
  typed: string,
  jobs: Pick<JobClient, 'list'>,
  mayName: (jobId: string) => boolean,
): Promise<string | undefined> {
  const known = (await jobs.list()).map(({ jobId }) => jobId).filter(mayName);
  const named = jobIdOf(typed);
  return known.includes(named) ? named : nearestKey(named, known);
}

async function nearestLetter(
  typed: string,
  { deadLetters }: Pick<JobClient, 'deadLetters'>,
  mayName: (jobId: string) => boolean,
): Promise<string | undefined> {
  const known: string[] = [];
  let seen = 0;
  for await (const { id, jobId } of deadLetters.waiting({})) {
    if (mayName(jobId)) known.push(id);
    if (++seen === MOST_LETTERS) break;
  }
  return nearestKey(deadLetterIdOf(typed), known);
}
