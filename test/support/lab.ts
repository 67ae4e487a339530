import { randomUUID } from 'node:crypto';
import { Client, type Connection } from '@temporalio/client';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { ConnectConfig } from '../../src/client/calls/connect.ts';
import { connect } from './connection.ts';
import { NoWorker } from '../../src/client/calls/errors.ts';
import { ExportJobs, type JobSummary } from '../../src/app/export-jobs.ts';
import { type Config, loadConfig, withThisMachine } from '../../src/app/config.ts';
import type { JobDefinitionInput } from '../../src/contract/export-job.ts';
import type { JobStatus } from '../../src/contract/job-status.ts';
import { jobWorkflowId } from '../../src/domain/names.ts';
import { type Recorder, type RecorderOptions, startRecorder } from '../../demo/recorder.ts';
import { dataConverterWith } from '../../src/temporal/data-converter.ts';
import { type RunningWorker, startWorker } from '../../src/app/worker.ts';
import { afterFile, afterwards } from '../webhook/a-server.ts';
import { MemorySource, type SourceContent } from './memory-source.ts';
import { answerWhen, PATIENCE_MS } from './patience.ts';
import { temporal } from './temporal.ts';

// The tests' own reports are what people read; of the workers, only what goes wrong.
Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'ERROR' } } });

/** Two audiences that tests use; `vip` looks back over a quarter of an hour. */
export const VIP = { id: 'ab'.repeat(16), slug: 'vip', name: 'Very important' };
export const NEWS = { id: 'cd'.repeat(16), slug: 'news', name: 'Newsletter' };

/** `vip` with these members, and `news` with nobody. */
export function membersOfVip(members: readonly string[]): Partial<SourceContent> {
  return {
    audiences: [
      { ...VIP, members },
      { ...NEWS, members: [] },
    ],
  };
}

export interface LabOptions {
  readonly receiver?: RecorderOptions;
  readonly content?: Partial<SourceContent>;
  readonly config?: Partial<Config>;
  readonly workers?: number;
  /** The source that `config` names, opened by the workers, instead of the lab's own. */
  readonly configuredSource?: true;
  /** A server other than the shared one. */
  readonly address?: string;
}

/** One or more workers, a source, an endpoint and a client, on a task queue of their own; everything is real except the source. */
export class Lab {
  readonly source: MemorySource;
  readonly receiver: Recorder;
  readonly client: Client;
  readonly jobs: ExportJobs;
  readonly taskQueue: string;
  readonly #config: Config;
  readonly #connect: ConnectConfig;
  readonly #connection: Connection;
  readonly #workers: RunningWorker[] = [];
  readonly #hasOwnSource: boolean;

  static async open(options: LabOptions = {}): Promise<Lab> {
    const address = options.address ?? temporal.address;
    const taskQueue = `test-${randomUUID()}`;
    const config = { ...withThisMachine(loadConfig({ env: { TRIGGERS_TASK_QUEUE: taskQueue } })), ...options.config };
    const connection = await connect(address);
    const receiver = await startRecorder(options.receiver ?? {});
    const lab = new Lab(options, config, address, connection, receiver);
    for (let i = 0; i < (options.workers ?? 1); i++) await lab.addWorker();
    return lab;
  }

  private constructor(
    options: LabOptions,
    config: Config,
    address: string,
    connection: Connection,
    receiver: Recorder,
  ) {
    this.#hasOwnSource = options.configuredSource !== true;
    this.source = new MemorySource(options.content ?? membersOfVip([]), {});
    this.receiver = receiver;
    this.taskQueue = config.taskQueue;
    this.#config = config;
    this.#connection = connection;
    this.#connect = { connectionOptions: { address }, namespace: temporal.namespace };
    const dataConverter = dataConverterWith(config.payloadKeys);
    this.client = new Client({ connection, namespace: temporal.namespace, dataConverter });
    this.jobs = new ExportJobs(this.client, { taskQueue: this.taskQueue });
  }

  async addWorker(changes: Partial<Config> = {}): Promise<RunningWorker> {
    const config = { ...this.#config, ...changes };
    const worker = await startWorker({
      config,
      connection: this.#connect,
      ...(this.#hasOwnSource ? { source: this.source } : {}),
      workflowBundle: config.payloadKeys.length > 0 ? temporal.encryptingWorkflowBundle : temporal.workflowBundle,
    });
    this.#workers.push(worker);
    return worker;
  }

  /** Shuts down a worker gracefully. */
  async shutdown(worker: RunningWorker): Promise<void> {
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    await worker.shutdown();
  }

  /** Shuts down all workers gracefully. */
  async stopWorkers(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.shutdown()));
  }

  /** Starts a job that sends to the lab's receiver; returns its id once its first workflow task is over, since tests look at what that did. */
  async start(definition: Partial<JobDefinitionInput> = {}): Promise<string> {
    const jobId = `lab-${randomUUID()}`;
    await this.jobs.start(
      { label: 'Lab', audiences: ['vip', 'news'], webhookUrl: this.receiver.url, authorization: null, ...definition },
      { jobId },
    );
    await withRetries(() => this.jobs.status(jobId));
    return jobId;
  }

  /** What `temporal workflow reset --type LastWorkflowTask` does: a workflow goes on, also one that was terminated. */
  async resetToLastTask(workflowId: string): Promise<void> {
    const handle = this.client.workflow.getHandle(workflowId);
    const { runId, last } = await answerWhen(
      async () => {
        const { runId } = await handle.describe();
        // Of that run: it may have continued as new since.
        const { events } = await this.client.workflow.getHandle(workflowId, runId).fetchHistory();
        return {
          runId,
          last: events?.findLast((event) => event.workflowTaskCompletedEventAttributes != null)?.eventId,
        };
      },
      // A run that has just begun has no task to go back to.
      (run) => run.last != null,
    );
    await this.client.workflowService.resetWorkflowExecution({
      namespace: this.client.options.namespace,
      workflowExecution: { workflowId, runId },
      reason: 'a test',
      workflowTaskFinishEventId: last ?? null,
      requestId: randomUUID(),
    });
  }

  /** The handle of a job's workflow, for what a foreign program would do. */
  handle(jobId: string) {
    return this.client.workflow.getHandle(jobWorkflowId(jobId));
  }

  /** The job's status once it is as wanted. */
  async statusWhen(jobId: string, isAsWanted: (status: JobStatus) => boolean): Promise<JobStatus> {
    return await answerWhen(() => withRetries(() => this.jobs.status(jobId)), isAsWanted);
  }

  /** The job as the server lists it, once that is as wanted; it lists a change a moment later. Default: it runs, and can be read. */
  async listedWhen(
    jobId: string,
    isAsWanted: (job: JobSummary) => boolean = ({ running, audiences }) => running && audiences !== undefined,
  ): Promise<JobSummary> {
    const [found] = await answerWhen(
      async () => (await this.jobs.list()).filter((job) => job.jobId === jobId && isAsWanted(job)),
      ({ length }) => length > 0,
    );
    return found as JobSummary; // It was waited for.
  }

  /** Resolves when a message about this person has arrived at the lab's receiver. */
  async arrives(user: string): Promise<void> {
    await this.receiver.ledger.waitFor((ledger) => ledger.entries.some(({ message }) => message?.user === user));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.shutdown()));
    await this.receiver.close();
    await this.#connection.close();
  }
}

/** A lab that is closed after its test, whatever the outcome. */
export async function labOfTest(options: LabOptions = {}): Promise<Lab> {
  const lab = await Lab.open(options);
  afterwards(() => lab.close());
  return lab;
}

/** A lab that all tests of a file use: opened where the file is loaded, and closed after its last test. */
export async function labOfFile(options: LabOptions = {}): Promise<Lab> {
  const lab = await Lab.open(options);
  afterFile(() => lab.close());
  return lab;
}

/** On a busy machine a worker with much to do may leave a question unanswered for 10 s; then nothing was done, and it is asked again. */
export async function withRetries<T>(ask: () => Promise<T>): Promise<T> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isBusy = error instanceof NoWorker && error.lastPollMsAgo !== undefined;
      if (!isBusy || Date.now() > giveUpAt) throw error;
    }
  }
}
