import type { Client } from '@temporalio/client';
import { nearestKey } from '../../contract/nearest-key.ts';
import { type JobSummary, knowingJob, reachableJobs } from '../jobs/job-list.ts';
import { JobsUnreadable } from '../calls/errors.ts';
import { unless } from '../calls/with-retries.ts';

/** A running job as it is listed. */
export interface ListedJob {
  readonly jobId: string;
  /** The slugs and ids by which its audiences may be named; null when they cannot be read here. */
  readonly audiences: ReadonlySet<string> | null;
  /** It still accepts triggers, and ends soon. */
  readonly isStopping?: boolean;
}

export interface DirectorySource {
  /** All running jobs. A new one shows up in it within about a second. */
  readonly all: () => Promise<readonly ListedJob[]>;
  /** One job; undefined when it has ended. @throws JobNotFound; JobNotRunning when it has stopped */
  readonly one: (jobId: string) => Promise<ListedJob | undefined>;
  /** Ms by a clock that is never set. */
  readonly now?: () => number;
}

/** How old, in ms, an answer may be if it is yes. A no must be newer, since a job or an audience may have come since. */
const KNOWN_MS = 10_000;
const DOUBTED_MS = 1_000;
/** A list is as new as a no, unless listing is slow: it may take this share of the time. */
const LISTING_SHARE = 1 / 20;
/** Most jobs that are remembered one by one. */
const MOST = 1_000;

/** Which jobs run and what they subscribe to. One look-up serves all requests for a second or, where listing takes long, for up to ten. */
export class JobDirectory {
  readonly #source: DirectorySource;
  readonly #now: () => number;
  #list: Cached<readonly ListedJob[]> | undefined;
  #listingMs = 0;
  readonly #jobs = new Map<string, Cached<ListedJob | undefined>>();

  constructor(source: DirectorySource) {
    this.#source = source;
    this.#now = source.now ?? (() => performance.now());
  }

  /**
   * The ids of the running jobs that subscribe to an audience; see `subscribersOf`.
   * @param may whether a job counts at all. Default: each does.
   */
  async subscribers(audience: string, may: (jobId: string) => boolean = () => true): Promise<string[]> {
    const found = async (ageMs: number) =>
      subscribersOf(
        (await this.list(ageMs)).filter(({ jobId }) => may(jobId)),
        audience,
      );
    // Where others subscribe, a job that was started since would miss this.
    const known = await found(Math.min(KNOWN_MS, Math.max(DOUBTED_MS, this.#listingMs / LISTING_SHARE)));
    return known.length > 0 ? known : await found(DOUBTED_MS);
  }

  /** The ids of the running jobs. */
  async running(): Promise<ReadonlySet<string>> {
    return new Set((await this.list(DOUBTED_MS)).map(({ jobId }) => jobId));
  }

  /** Whether the job subscribes to the audience, as far as is known. @throws JobNotFound */
  async subscribes(jobId: string, audience: string): Promise<boolean> {
    // A job without names of audiences was started by a foreign client, and has not been checked yet.
    const may = ({ audiences = null }: Partial<ListedJob> = {}): boolean =>
      audiences === null || audiences.size === 0 || audiences.has(audience);
    return may(await this.job(jobId)) || may(await this.job(jobId, DOUBTED_MS));
  }

  /** The job with this id; undefined when it has ended. @throws JobNotFound */
  async job(jobId: string, ageMs = KNOWN_MS): Promise<ListedJob | undefined> {
    let known = this.#jobs.get(jobId);
    if (known === undefined || this.#isOlder(known, ageMs)) {
      known = { at: this.#now(), value: this.#source.one(jobId) };
      this.#remember(jobId, known);
    }
    return await known.value;
  }

  /** Forgets all, since a job was started, changed or stopped. */
  forget(): void {
    this.#list = undefined;
    this.#jobs.clear();
  }

  /** Returns the running jobs, as they were at most so many ms ago. */
  async list(ageMs = KNOWN_MS): Promise<readonly ListedJob[]> {
    if (this.#list === undefined || this.#isOlder(this.#list, ageMs)) {
      const at = this.#now();
      const list = { at, value: this.#source.all() };
      this.#list = list;
      list.value.then(
        () => (this.#listingMs = this.#now() - at),
        () => this.#list === list && (this.#list = undefined),
      );
    }
    return await this.#list.value;
  }

  #remember(jobId: string, known: Cached<ListedJob | undefined>): void {
    this.#jobs.delete(jobId);
    this.#jobs.set(jobId, known);
    known.value.catch(() => this.#jobs.get(jobId) === known && this.#jobs.delete(jobId));
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > MOST && oldest !== undefined) this.#jobs.delete(oldest);
  }

  #isOlder({ at }: Cached<unknown>, ageMs: number): boolean {
    return this.#now() - at > ageMs;
  }
}

/**
 * The ids of the jobs that subscribe to an audience. A job that is stopping counts only if no other does: mostly another has taken its place, and the
 * endpoint would get everything twice.
 */
export function subscribersOf(jobs: readonly ListedJob[], audience: string): string[] {
  const all = jobs.filter(({ audiences }) => audiences?.has(audience) === true);
  const staying = all.filter(({ isStopping }) => isStopping !== true);
  return (staying.length > 0 ? staying : all).map(({ jobId }) => jobId);
}

interface Cached<T> {
  readonly at: number;
  readonly value: Promise<T>;
}

/** Returns why a trigger does not belong to the job. */
export function unmatchedText(jobId: string, audience: string, job: ListedJob | undefined): string {
  const near = nearestKey(audience, [...(job?.audiences ?? [])]);
  return `the job "${jobId}" does not subscribe to "${audience}"${near === undefined ? '' : `. Did you mean "${near}"?`}`;
}

/**
 * The running jobs with the names of their audiences, taken from their memos. A memo has them from the start or, where a foreign client started the job
 * without one, from the moment it was checked. No job is asked, so that one that cannot answer does not hold up the others.
 *
 * @param mustRead jobs of this task queue must be readable here, or it is unknown whether they subscribe; others may be somebody else's.
 * @throws JobsUnreadable
 */
async function runningSubscribers(client: Client, mustRead?: string): Promise<ListedJob[]> {
  const jobs = await reachableJobs(client);
  const unreadable = jobs.filter((job) => job.taskQueue === mustRead && job.unreadable !== undefined);
  const [first] = unreadable;
  if (first?.unreadable !== undefined)
    throw new JobsUnreadable(
      unreadable.map(({ jobId }) => jobId),
      first.unreadable,
    );
  return jobs.map(listedJob);
}

/** A running job as directories list it. */
export function listedJob({
  jobId,
  audiences = [],
  unreadable,
  state,
}: Pick<JobSummary, 'jobId' | 'audiences' | 'unreadable' | 'state'>): ListedJob {
  const names = audiences.flatMap(({ id, slug }) => [id, slug]);
  return { jobId, audiences: unreadable === undefined ? new Set(names) : null, isStopping: state === 'stopping' };
}

/** Longest wait, in ms, for Temporal to say which jobs run. */
const DIRECTORY_MS = 10_000;

/**
 * Which jobs run and what they subscribe to.
 * @param taskQueue when jobs are first listed, the jobs of this one must be readable here: else `JobsUnreadable`.
 * @param stop aborting it ends every wait, with its reason.
 */
export function jobDirectory(
  client: Client,
  taskQueue: string,
  stop: AbortSignal = new AbortController().signal,
): JobDirectory {
  let isFirst = true;
  // Without this, a server that is there but never answers would be waited for forever.
  const inTime = async <T>(ask: () => Promise<T>): Promise<T> =>
    await unless(stop, client.withDeadline(Date.now() + DIRECTORY_MS, ask));
  return new JobDirectory({
    all: async () => {
      const jobs = await inTime(async () => await runningSubscribers(client, isFirst ? taskQueue : undefined));
      isFirst = false;
      return jobs;
    },
    one: async (jobId) => {
      const job = await inTime(async () => await knowingJob(client, jobId));
      return job && listedJob(job);
    },
  });
}
