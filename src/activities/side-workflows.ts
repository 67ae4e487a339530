import type { SearchAttribute } from '../domain/search-attributes.ts';

/** A workflow that stands beside a job and keeps something for it. */
export interface SideWorkflow {
  readonly type: string;
  readonly workflowId: string;
  /** Its only argument. */
  readonly input: object;
  /** What the Temporal UI shows of it without a query. */
  readonly summary: string;
  readonly memo?: Readonly<Record<string, unknown>>;
  readonly attributes?: readonly SearchAttribute[];
  /** True: it only keeps its input, so that no worker has anything to do before it is released. */
  readonly sleeps?: boolean;
  /** True: a running one with the same id is terminated first. Otherwise one that exists, running or closed, is as good as this one. */
  readonly replaces?: boolean;
  /** True: one with the same id that has ended, and was given something else, does not prevent it. */
  readonly renews?: boolean;
}

/** The workflows beside jobs, as activities reach them. Every method may be called again after its answer was lost. */
export interface SideWorkflows {
  start(workflow: SideWorkflow): Promise<void>;
  /** The argument that it was started with, also after its end; undefined when the server knows no such workflow (any more). */
  inputOf(workflowId: string): Promise<unknown>;
  /** Lets a holder end; one that is not running is left alone. */
  release(workflowId: string): Promise<void>;
}
