import type { DifferenceToSend } from './backfill.ts';
import type { Replay } from './replay.ts';

// Requests of operators to a job, the arguments of its updates. `domain/requests.ts` reads them.

/** Argument of the update `backfill`. */
export interface BackfillRequest {
  /**
   * 1 to 255 characters. Asking twice with the same id runs one backfill, so that it is safe to ask again after a lost answer. It is refused
   * for other audiences or another sample. The last 64 are remembered.
   */
  readonly requestId?: string;
  /** Slugs or ids of some of the job's audiences; absent: all of them. */
  readonly audiences?: readonly string[];
  /** Send only this many people, then pause; `resume` sends the others. */
  readonly sample?: number;
  /** With `start`: send this difference of the one audience named, in place of all members. For `reconcile`, which makes it. */
  readonly difference?: DifferenceToSend;
  /** With `start`: tell again what was told, in place of all members. For `replay`, which finds out what that is. */
  readonly replay?: Replay;
  /** Changes the running backfill instead of starting one: `pause` sends nobody further, `resume` continues, `cancel` ends it. */
  readonly action?: 'start' | 'pause' | 'resume' | 'cancel';
  /** With `start`: the `at` of its triggers (RFC 3339); default: when the job is asked. Given, it stays the same if the workflow is reset. */
  readonly at?: string;
}

/** Argument of the update `forget`. */
export interface ForgetRequest {
  /** The id of the person whose waiting triggers are dropped. */
  readonly user: string;
}

/** Argument of the update `stop`. */
export interface StopRequest {
  /**
   * Decides about the waiting triggers. `deliver` (the default) sends them first, and keeps the rest at the deadline. `keep` keeps all of
   * them for a later resume. `discard` drops them. The job always waits for running slices.
   */
  readonly waiting?: 'deliver' | 'keep' | 'discard';
  /** With `deliver`: how long to go on sending, in ms. Default an hour. */
  readonly deadlineMs?: number;
  /** True: only if the job has stopped and keeps its backlog; a resume that comes before takes precedence. Default false. */
  readonly ifStopped?: boolean;
}
