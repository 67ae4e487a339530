/** The state of a kept job; `starting` while the job's own workflow is being started again. */
export type KeptJobState = 'kept' | 'starting' | KeptJobEnd;

/** Result of the workflow `keptJob`. */
export type KeptJobEnd = 'resumed' | 'discarded';

/** Answer of a kept job's query `status`. */
export interface KeptJobStatus {
  readonly v: 1;
  readonly state: KeptJobState;
  readonly jobId: string;
  readonly label: string;
  /** Triggers that are kept. */
  readonly waiting: number;
  /** RFC 3339 */
  readonly keptAt: string;
  /** Why the last request to start it failed, and what to do. */
  readonly notice?: string;
}
