import type { ExpiringLetters } from '../../words/losses.ts';
import type { Client } from '@temporalio/client';
import type { JobStatus } from '../../contract/job-status.ts';
import { DEAD_LETTER_MS } from '../../domain/job/dead-letter.ts';
import { instantOf } from '../../domain/instant.ts';
import { definedOf } from '../../domain/json.ts';
import { beganAt, DEAD_LETTER, JOB_ID_PATTERN } from '../../domain/names.ts';
import { clientForLists } from '../calls/executions.ts';
import { isTransient } from '../calls/server-errors.ts';

/** Dead letters under a job's id that wait for a decision. */
export interface WaitingLetters {
  readonly all: number;
  /** Dead letters of earlier jobs of this id, which this one cannot send. Also 0 when the server's run ids do not tell when a job began. */
  readonly earlier: number;
}

/** The query for all of them. */
export const LETTERS_WAIT = `WorkflowType = '${DEAD_LETTER}' AND ExecutionStatus = 'Running'`;

/**
 * Returns how many wait under the id of a job of this task queue; the server's count is at most a second late. Undefined: it cannot tell.
 * @throws an error of the server that may pass
 */
async function waitingLetters(
  client: Client,
  { jobId, subscriptionId }: Pick<JobStatus, 'jobId' | 'subscriptionId'>,
  taskQueue: string,
): Promise<WaitingLetters | undefined> {
  // A job that was started under a foreign workflow id has that as its job id, which may be any text.
  if (!JOB_ID_PATTERN.test(jobId)) return undefined;
  const ofJob = `ExportJobId = '${jobId}'`;
  const ofNobody = `ExportJobId IS NULL AND TaskQueue = '${taskQueue}'`;
  const counted = async (which: string) => await client.workflow.count(`${LETTERS_WAIT} AND ${which}`);
  try {
    // One count mostly suffices, and a server allows a namespace few: 10 a second by default.
    const any = await counted(`(${ofJob} OR (${ofNobody}))`);
    if (any.count === 0) return { all: 0, earlier: 0 };
    // For dead letters from before the search attributes were registered, the server does not know the job.
    if ((await counted(ofNobody)).count > 0) return undefined;
    const began = beganAt(subscriptionId);
    if (began === undefined) return { all: any.count, earlier: 0 };
    const before = `StartTime < '${new Date(began).toISOString()}'`;
    const earlier = await counted(`${ofJob} AND ${before}`);
    return { all: any.count, earlier: earlier.count };
  } catch (error) {
    if (isTransient(error)) throw error;
    return undefined; // The namespace lacks the search attributes.
  }
}

/**
 * Returns how many dead letters wait that only this job can send; also 0 when the server cannot tell.
 * @throws an error of the server that may pass: no other job may begin under this id on a guess
 */
export async function ownLetters(
  client: Client,
  job: Pick<JobStatus, 'jobId' | 'subscriptionId'>,
  taskQueue: string,
): Promise<number> {
  const { all, earlier } = (await waitingLetters(client, job, taskQueue)) ?? { all: 0, earlier: 0 };
  return all - earlier;
}

/** Whether dead letters of any job wait: if not, no job needs a count of its own. Also true when that is unknown. */
export async function anyLetterWaits(client: Client): Promise<boolean> {
  try {
    return (await client.workflow.count(LETTERS_WAIT)).count > 0;
  } catch {
    return true;
  }
}

/** Returns the counts of dead letters in a job's status. */
export async function lettersInStatus(
  client: Client,
  status: Pick<JobStatus, 'jobId' | 'subscriptionId' | 'deadLetters'>,
  taskQueue: string,
): Promise<Pick<JobStatus, 'deadLettersWaiting' | 'deadLettersOfEarlierJobs'>> {
  // A status is shown without them, too.
  const letters = await waitingLetters(client, status, taskQueue).catch(() => undefined);
  if (letters === undefined || (letters.all === 0 && status.deadLetters === 0)) return {};
  const { all, earlier } = letters;
  return { deadLettersWaiting: all, ...(earlier === 0 ? {} : { deadLettersOfEarlierJobs: earlier }) };
}

/** Most expiring dead letters that are counted. */
const MOST_EXPIRING = 20_000;

/** Returns by job the dead letters that expire between two times (epoch ms), of all task queues or `only` of one. */
export async function expiringLetters(client: Client, fromMs: number, untilMs: number, only?: string) {
  const diedAt = (expiresMs: number): string => new Date(expiresMs - DEAD_LETTER_MS).toISOString();
  const query = `${LETTERS_WAIT} AND StartTime >= '${diedAt(fromMs)}' AND StartTime < '${diedAt(untilMs)}'`;
  const found = new Map<unknown, { letters: number; firstMs: number }>();
  let all = 0;
  for await (const { memo, startTime, taskQueue } of clientForLists(client).workflow.list({ query })) {
    if (taskQueue !== (only ?? taskQueue)) continue;
    const job = memo?.['job'];
    const { letters, firstMs } = found.get(job) ?? { letters: 0, firstMs: Infinity };
    found.set(job, { letters: letters + 1, firstMs: Math.min(firstMs, startTime.getTime() + DEAD_LETTER_MS) });
    if (++all === MOST_EXPIRING) break;
  }
  return [...found].map(([job, { letters, firstMs }]): ExpiringLetters => ({
    ...definedOf({ job: typeof job === 'string' ? job : undefined }),
    letters,
    firstAt: instantOf(firstMs),
  }));
}
