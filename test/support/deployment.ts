import { randomUUID } from 'node:crypto';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { GRPC, grpcCode } from '../../src/client/calls/server-errors.ts';
import { until } from './patience.ts';

/** A worker deployment for one test, which makes its versions current as operators do. */
export class Deployment {
  readonly name = `deployment-${randomUUID()}`;
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** What a worker of this build is configured with. */
  build(buildId: string): { readonly deployment: { readonly name: string; readonly buildId: string } } {
    return { deployment: { name: this.name, buildId } };
  }

  /**
   * As `temporal worker deployment set-current-version`; '' makes unversioned workers current. The server learns of a new build a moment
   * after its worker is up.
   */
  async makeCurrent(buildId: string): Promise<void> {
    const { namespace } = this.#client.options;
    await this.#withRetries(async () => {
      try {
        await this.#client.workflowService.setWorkerDeploymentCurrentVersion({
          namespace,
          deploymentName: this.name,
          buildId,
          identity: 'test',
          ignoreMissingTaskQueues: true,
        });
        return true;
      } catch (error) {
        const code = grpcCode(error);
        if (code !== GRPC.NOT_FOUND && code !== GRPC.FAILED_PRECONDITION) throw error;
        return false;
      }
    });
  }

  /** The workflows for which a build has to be kept running, by id; the server lists changes a moment later. */
  async pinnedTo(buildId: string): Promise<string[]> {
    const build = `TemporalWorkerDeploymentVersion = '${this.name}:${buildId}'`;
    const query = `${build} AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'`;
    const found: string[] = [];
    for await (const { workflowId } of this.#client.workflow.list({ query })) found.push(workflowId);
    return found.sort();
  }

  /** The build that did a workflow's last task. */
  async buildOf(workflowId: string): Promise<string | undefined> {
    const { raw } = await this.#client.workflow.getHandle(workflowId).describe();
    return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId ?? undefined;
  }

  /** Wakes jobs until nothing needs a build any more: a signal without triggers lets an idle job notice that another build is current. */
  async untilDrained(buildId: string, jobs: readonly WorkflowHandle[] = []): Promise<void> {
    await this.#withRetries(async () => {
      for (const job of jobs) await job.signal('triggers', []);
      return (await this.pinnedTo(buildId)).length === 0;
    });
  }

  /** Wakes a job until it is on a build. */
  async untilPinned(buildId: string, job: WorkflowHandle): Promise<void> {
    await this.#withRetries(async () => {
      await job.signal('triggers', []);
      return (await this.pinnedTo(buildId)).includes(job.workflowId);
    });
  }

  /** As `temporal workflow update-options --versioning-override-behavior auto_upgrade`: for a workflow whose build is gone. */
  async free(workflowId: string): Promise<void> {
    const { namespace } = this.#client.options;
    await this.#client.workflowService.updateWorkflowExecutionOptions({
      namespace,
      workflowExecution: { workflowId },
      workflowExecutionOptions: { versioningOverride: { autoUpgrade: true } },
      updateMask: { paths: ['versioning_override'] },
    });
  }

  async #withRetries(isDone: () => Promise<boolean>): Promise<void> {
    await until(isDone, 100);
  }
}
