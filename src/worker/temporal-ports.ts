import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { DeliverDependencies } from '../activities/deliver.ts';
import type { SampleDependencies } from '../activities/samples.ts';
import type { FoundSubscribers, Subscribers } from '../activities/watch/publish-changes.ts';
import { ask } from '../client/asking.ts';
import { JobClient } from '../client/job-client.ts';
import { type JobSummary, keptJobs, reachableJobs } from '../client/jobs/job-list.ts';
import { listedJob, type ListedJob, subscribersOf } from '../client/push/job-directory.ts';
import { mayRunAgain } from '../client/jobs/job-service.ts';
import { hasEnded } from '../client/push/publish.ts';
import { TemporalSideWorkflows } from '../client/side-workflows.ts';
import type { SideWorkflows, WorkflowStanding } from '../contract/ports.ts';
import type { JobSettings } from '../contract/sample.ts';
import type { EventTrigger } from '../contract/trigger.ts';
import { permitsReturnedSignal, settingsQuery } from '../workflows/messages.ts';

/** The dependencies of activities that are other workflows. */
export interface TemporalPorts {
  readonly lookUpWorkflow: (workflowId: string) => Promise<WorkflowStanding>;
  readonly jobSettings: SampleDependencies['jobSettings'];
  readonly returnPermits: DeliverDependencies['returnPermits'];
  readonly sideWorkflows: SideWorkflows;
  readonly subscribers: Subscribers;
}

/** Connects activities to other workflows, through a Temporal client. */
export function temporalPorts(client: Client, taskQueue: string): TemporalPorts {
  return {
    lookUpWorkflow: (workflowId) => lookUpWorkflow(client, workflowId),
    jobSettings: (workflowId) => jobSettings(client, workflowId),
    returnPermits: (workflowId, returned) =>
      client.workflow.getHandle(workflowId).signal(permitsReturnedSignal, returned),
    sideWorkflows: new TemporalSideWorkflows(client, taskQueue),
    subscribers: new TemporalSubscribers(client, taskQueue),
  };
}

async function lookUpWorkflow(client: Client, workflowId: string): Promise<WorkflowStanding> {
  try {
    const { status } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? 'running' : 'closed';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'absent';
    throw error;
  }
}

/** Long: a job answers at once, unless its whole history must be read first. */
const QUERY_MS = 15_000;

async function jobSettings(client: Client, workflowId: string): Promise<JobSettings | null | undefined> {
  try {
    return await ask(client, workflowId, settingsQuery, { answerMs: QUERY_MS });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

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
