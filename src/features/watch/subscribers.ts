import type { Client } from '@temporalio/client';
import { JobClient } from '../../client/job-client.ts';
import { type JobSummary, keptJobs, reachableJobs } from '../../client/jobs/job-list.ts';
import { mayRunAgain } from '../../client/jobs/job-service.ts';
import { listedJob, type ListedJob, subscribersOf } from '../../client/push/job-directory.ts';
import { hasEnded } from '../../client/push/publish.ts';
import type { EventTrigger } from '../../contract/trigger.ts';
import type { FoundSubscribers, Subscribers } from './publish-changes.ts';

/** A job that does not accept a signal for this long, in ms, is left for a later attempt. */
const PATIENCE_MS = 60_000;

/** The running jobs of a task queue, signalled as any publisher would signal them. Jobs of another queue have another source, and other keys. */
export class TemporalSubscribers implements Subscribers {
  readonly #client: Client;
  readonly #taskQueue: string;
  readonly #jobs: JobClient;

  constructor(client: Client, taskQueue: string) {
    this.#client = client;
    this.#taskQueue = taskQueue;
    this.#jobs = new JobClient(client);
  }

  async of(audience: string): Promise<FoundSubscribers> {
    const jobs = this.#own(await reachableJobs(this.#client));
    const unreadable = jobs.filter((job) => job.audiences === null).map(({ jobId }) => jobId);
    const jobIds = subscribersOf(jobs, audience);
    const stopping = jobs.filter(
      ({ jobId, audiences }) => audiences?.has(audience) === true && !jobIds.includes(jobId),
    );
    return { jobIds, stopping: stopping.map(({ jobId }) => jobId), unreadable };
  }

  async kept(audience: string): Promise<readonly string[]> {
    return subscribersOf(this.#own(await keptJobs(this.#client)), audience);
  }

  #own(jobs: readonly JobSummary[]): ListedJob[] {
    return jobs.filter(({ taskQueue }) => taskQueue === this.#taskQueue).map(listedJob);
  }

  async mayReturn(jobId: string): Promise<boolean> {
    return await mayRunAgain(this.#client, jobId);
  }

  async publish(
    jobId: string,
    triggers: AsyncIterable<EventTrigger>,
    signal: AbortSignal,
    onAccepted: (accepted: number) => void,
  ): Promise<boolean> {
    const onProgress = ({ accepted }: { readonly accepted: number }): void => onAccepted(accepted);
    try {
      await this.#jobs.push(jobId, triggers, { signal, patienceMs: PATIENCE_MS, onProgress });
      return true;
    } catch (error) {
      if (!hasEnded(error)) throw error;
      return false;
    }
  }
}
