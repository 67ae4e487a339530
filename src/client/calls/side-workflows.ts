import { type Client, WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError } from '@temporalio/client';
import type { WorkflowIdReusePolicy } from '@temporalio/common';
import type { RedeliveryAnswer } from '../../contract/dead-letter.ts';
import type { SideWorkflow, SideWorkflows, WorkflowRun } from '../../contract/ports.ts';
import { forEachLimit } from '../../domain/for-each-limit.ts';
import { isRecord, stringifyJson } from '../../domain/json.ts';
import { profileHolderPrefix } from '../../domain/names.ts';
import { answerSignal, dropSignal } from '../../workflows/messages.ts';
import { clientForLists } from './executions.ts';
import { GRPC, grpcCode } from './server-errors.ts';
import { isProfileHolder } from '../../domain/trigger-run.ts';

const DROPS_AT_ONCE = 8;

/** The workflows beside jobs, through a Temporal client. They run on the worker's own task queue. */
export class TemporalSideWorkflows implements SideWorkflows {
  readonly #client: Client;
  readonly #taskQueue: string;

  constructor(client: Client, taskQueue: string) {
    this.#client = client;
    this.#taskQueue = taskQueue;
  }

  async start(workflow: SideWorkflow): Promise<void> {
    const { attributes = [], by } = workflow;
    await this.#mustRun(by);
    try {
      await this.#start(workflow, workflow.renews === 'all' ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE');
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return this.#startAnew(workflow);
      // A namespace may lack an attribute that came with a newer release. Keeping the data matters more than finding it.
      if (attributes.length === 0 || grpcCode(error) !== GRPC.INVALID_ARGUMENT) throw error;
      await this.start({ ...workflow, attributes: [] });
    }
  }

  /** One with its id already exists. */
  async #startAnew(workflow: SideWorkflow): Promise<void> {
    if (workflow.renews === undefined) return;
    // If it has the same input, an earlier attempt of ours started it, whatever happened to it since.
    const input = await this.inputOf(workflow.workflowId);
    if (isRecord(input) && stringifyJson(input) === stringifyJson(workflow.input)) return;
    if (workflow.renews === 'all') {
      // The server may have taken long to answer, and the run may have been reset meanwhile.
      await this.#mustRun(workflow.by);
      return this.#start(workflow, 'TERMINATE_RUNNING');
    }
    try {
      await this.#start(workflow, 'ALLOW_DUPLICATE');
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error; // It runs.
    }
  }

  /** Throws unless the run is still running. An activity goes on after a reset of its run, and does not learn of it. */
  async #mustRun(run: WorkflowRun | undefined): Promise<void> {
    if (run === undefined) return;
    const { status } = await this.#client.workflow.getHandle(run.workflowId, run.runId).describe();
    if (status.name !== 'RUNNING') throw new Error(`The run ${run.runId} of ${run.workflowId} has ended.`);
  }

  async inputOf(workflowId: string): Promise<unknown> {
    const { namespace, loadedDataConverter } = this.#client.options;
    const { payloadConverter, payloadCodecs } = loadedDataConverter;
    try {
      // The first event has it. A query could return it too, but needs a worker to replay everything.
      const { history } = await this.#client.workflowService.getWorkflowExecutionHistory({
        namespace,
        execution: { workflowId },
        maximumPageSize: 1,
      });
      let payloads = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
      for (const codec of payloadCodecs.toReversed()) payloads = await codec.decode(payloads);
      const [payload] = payloads;
      if (payload === undefined) throw new Error(`The workflow ${workflowId} was started without an argument.`);
      return payloadConverter.fromPayload(payload);
    } catch (error) {
      if (grpcCode(error) === GRPC.NOT_FOUND) return undefined;
      throw error;
    }
  }

  async answer(workflowId: string, answer: RedeliveryAnswer): Promise<void> {
    try {
      await this.#client.workflow.getHandle(workflowId).signal(answerSignal, answer);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }

  async drop(workflowId: string): Promise<void> {
    try {
      const handle = this.#client.workflow.getHandle(workflowId);
      await handle.signal(dropSignal);
      // A signal alone does not wake a delayed start; a cancellation does, and means nothing else to a holder.
      await handle.cancel();
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }

  async dropProfiles(jobId: string, before: number): Promise<void> {
    const holders = this.#profileHolders(jobId, before);
    await forEachLimit(holders, DROPS_AT_ONCE, async (workflowId) => await this.drop(workflowId));
  }

  /** Yields the ids of a job's running profile holders. The server's list may include others with a similar prefix. */
  async *#profileHolders(jobId: string, before: number): AsyncGenerator<string> {
    const prefix = profileHolderPrefix(jobId);
    const query = `WorkflowId STARTS_WITH "${prefix}" AND ExecutionStatus = "Running" AND StartTime < "${new Date(before).toISOString()}"`;
    for await (const { workflowId } of clientForLists(this.#client).workflow.list({ query }))
      if (isProfileHolderOf(jobId, workflowId)) yield workflowId;
  }

  async #start(workflow: SideWorkflow, reuse: WorkflowIdReusePolicy | 'TERMINATE_RUNNING'): Promise<void> {
    const { type, workflowId, input, summary, memo, attributes = [], sleepsDays } = workflow;
    await this.#client.workflow.start(type, {
      workflowId,
      taskQueue: this.#taskQueue,
      args: [input],
      staticSummary: summary,
      // They wait for weeks and never continue as new: each moves to newer builds in mid-run, which have to replay it.
      versioningOverride: 'AUTO_UPGRADE',
      ...(sleepsDays === undefined ? {} : { startDelay: `${sleepsDays} days` }),
      ...(memo === undefined ? {} : { memo }),
      ...(attributes.length === 0 ? {} : { typedSearchAttributes: [...attributes] }),
      ...(reuse === 'TERMINATE_RUNNING'
        ? { workflowIdConflictPolicy: 'TERMINATE_EXISTING' }
        : { workflowIdReusePolicy: reuse }),
    });
  }
}

/** Whether a workflow is a profile holder of this job. Job ids may share a prefix, or differ only in a character that a list treats as a wildcard. */
function isProfileHolderOf(jobId: string, workflowId: string): boolean {
  const prefix = profileHolderPrefix(jobId);
  return workflowId.startsWith(prefix) && isProfileHolder(workflowId.slice(prefix.length));
}
