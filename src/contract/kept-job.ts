import type { KeptBackfill } from './job-status.ts';

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
  /** Triggers that are kept, and members that a backfill has read. */
  readonly waiting: number;
  /** The backfill that goes on with the job; absent when none was under way. */
  readonly backfill?: KeptBackfill;
  /** RFC 3339 */
  readonly keptAt: string;
  /** Why the last request to start it failed, and what to do. */
  readonly notice?: string;
}

/** Answer of the query `recovery`: a part of a text, which is JSON. */
export interface RecoveryPart {
  readonly v: 1;
  readonly text: string;
  /** How many parts there are. */
  readonly parts: number;
}
