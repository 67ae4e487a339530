import type { Client } from '@temporalio/client';
import type { FoundListeners, Listeners, TellOptions } from './activities/watch/listeners.ts';
import { JobNotFound, JobNotRunning, PushInterrupted } from './client/errors.ts';
import { ExportJobs } from './client/export-jobs.ts';
import { listeningJobs } from './client/job-list.ts';
import type { EventTrigger } from './contract/trigger.ts';

/** A job that does not accept a signal for this long, in ms, is left for a later attempt. */
const PATIENCE_MS = 60_000;

/** The running jobs of a namespace, signalled as any publisher would signal them. */
export class TemporalListeners implements Listeners {
  readonly #client: Client;
  readonly #jobs: ExportJobs;

  constructor(client: Client) {
    this.#client = client;
    this.#jobs = new ExportJobs(client);
  }

  async of(audience: string): Promise<FoundListeners> {
    const jobs = await listeningJobs(this.#client);
    return {
      jobIds: jobs.filter(({ audiences }) => audiences?.includes(audience) === true).map(({ jobId }) => jobId),
      unreadable: jobs.filter(({ audiences }) => audiences === null).map(({ jobId }) => jobId),
    };
  }

  async tell(jobId: string, triggers: AsyncIterable<EventTrigger>, options: TellOptions): Promise<void> {
    const { signal, onAccepted } = options;
    try {
      await this.#jobs.push(jobId, triggers, {
        signal,
        patienceMs: PATIENCE_MS,
        onProgress: ({ accepted }) => onAccepted(accepted),
      });
    } catch (error) {
      // It has ended, so it gets nothing more.
      const cause = error instanceof PushInterrupted ? error.cause : undefined;
      if (!(cause instanceof JobNotRunning || cause instanceof JobNotFound)) throw error;
    }
  }
}
