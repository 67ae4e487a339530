import type { SideWorkflow, SideWorkflows } from '../../src/contract/ports.ts';
import type { RedeliveryAnswer } from '../../src/contract/dead-letter.ts';

/** What activities ask of the workflows beside jobs, written down; what they have to say is what a test makes them say. */
export class RecordedSideWorkflows implements SideWorkflows {
  readonly started: SideWorkflow[] = [];
  readonly dropped: string[] = [];
  readonly answered: { readonly workflowId: string; readonly answer: RedeliveryAnswer }[] = [];
  /** Calls under way, and the most of them that there were at once. */
  underWay = 0;
  mostUnderWay = 0;
  input: unknown;
  /** The call for this workflow id fails. */
  failing: string | undefined;

  async start(workflow: SideWorkflow): Promise<void> {
    await this.#call(workflow.workflowId);
    this.started.push(workflow);
  }

  async inputOf(workflowId: string): Promise<unknown> {
    await this.#call(workflowId);
    return this.input;
  }

  async answer(workflowId: string, answer: RedeliveryAnswer): Promise<void> {
    await this.#call(workflowId);
    this.answered.push({ workflowId, answer });
  }

  async drop(workflowId: string): Promise<void> {
    await this.#call(workflowId);
    this.dropped.push(workflowId);
  }

  async dropProfiles(jobId: string): Promise<void> {
    await this.#call(jobId);
  }

  async #call(workflowId: string): Promise<void> {
    this.underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    await new Promise((resolve) => setImmediate(resolve));
    this.underWay--;
    if (workflowId === this.failing) throw new Error(`${workflowId} fails`);
  }
}
