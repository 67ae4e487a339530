/** How a kept job stands; `starting` while the job's own workflow is being started again. */
export type KeptJobState = 'kept' | 'starting' | KeptJobEnd;

/** Result of the workflow `keptJob`. */
export type KeptJobEnd = 'resumed' | 'discarded';

/** Answer of a kept job's query `status`. */
export interface KeptJobStatus {
  readonly v: 1;
  readonly state: KeptJobState;
  readonly jobId: string;
  readonly label: string;
  /** Triggers that wait for the job. */
  readonly waiting: number;
  /** RFC 3339 */
  readonly keptAt: string;
  /** Why it was not started when that was last asked for, and what to do. */
  readonly notice?: string;
}
