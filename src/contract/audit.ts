import type { JobEdit } from './export-job.ts';
import type { Replay } from './replay.ts';
import type { Json } from './trigger.ts';

/** The ways by which a person or a program reaches a job; `temporal`: the Temporal UI, the `temporal` CLI, or another client. */
export type Door = 'cli' | 'api' | 'console' | 'client' | 'temporal';

/** Who asks, and by which door. A job believes it: anybody who may signal it may say anything. Only the API knows its callers. */
export interface Asker {
  /** The name of an API key, `user@host` of the command line, or a program's own word, of 1 to 100 characters; absent: not known. */
  readonly who?: string;
  readonly door: Door;
}

/** The second argument of each update of a job: who asks, and why. Absent: not known, by the door `temporal`. */
export interface By extends Asker {
  /** 1 to 500 characters. */
  readonly reason?: string;
  /** It is a part of a decision about many dead letters, which has an entry of its own in the history. Older workers ignore it. */
  readonly isOfMany?: true;
}

export type AuditAction =
  | 'start'
  | 'edit'
  | 'pause'
  | 'resume'
  | 'retry'
  | 'stop'
  | 'recover'
  | 'backfill'
  | 'pause-backfill'
  | 'resume-backfill'
  | 'cancel-backfill'
  | 'reconcile'
  | 'replay'
  | 'forget'
  // On a person, in the delivery log and in dead letters.
  | 'erase'
  // On a job, by Temporal's own tools or limits.
  | 'end'
  // On a watch, which is also started and stopped.
  | 'change'
  | 'start-round'
  | 'accept'
  // On a dead letter.
  | 'redeliver'
  | 'discard'
  // On the console.
  | 'sign-in'
  | 'refuse-sign-in'
  | 'sign-out';

/** A field of the form, or an option of a watch, before and after an edit, as people may see it. A long value is a text that ends with "…". */
export interface AuditChange {
  readonly field: string;
  readonly from: Json;
  readonly to: Json;
}

/** The triggers that a replay sends again. A history outlives the person's data, so it names nobody. */
export interface ReplayDeed extends Pick<Replay, 'since' | 'until' | 'onlyLast' | 'newIds' | 'enters' | 'exits'> {
  /** Whether it is limited to one person or delivery. Absent: no. */
  readonly isOfOnePerson?: boolean;
}

/** The dead letters of one job that a decision was about. A history outlives the person's data, so it names nobody. */
export interface ManyDecided {
  /** How many the filter selected. */
  readonly letters: number;
  /** For how many of them it was done; absent: the end of the decision is unknown. */
  readonly done?: number;
  /** The filter, without the job and the person. */
  readonly audience?: string;
  readonly failure?: string;
  /** RFC 3339 */
  readonly olderThan?: string;
  readonly newerThan?: string;
  readonly isOfOnePerson?: boolean;
}

/** A change that somebody made to a job or its backfill, or to something else. */
export interface Deed {
  readonly action: AuditAction;
  /** The revision that a start or an edit made. */
  readonly revision?: number;
  /** With `edit`, in the order of the form. */
  readonly changes?: readonly AuditChange[];
  /** With `stop`: what becomes of the waiting triggers. */
  readonly waiting?: 'deliver' | 'keep' | 'discard';
  /** With `replay`; 0.1.0 did not keep it. */
  readonly replay?: ReplayDeed;
  /** With `erase`: how much of a person was removed; absent: the end of it is unknown. */
  readonly erased?: { readonly rows: number; readonly shared: number; readonly deadLetters: number };
  /** With a decision about many dead letters. */
  readonly many?: ManyDecided;
}

/** A deed, and who did it. `who` is `endpoint` or `job`, and `door` is `job`, when the job did it by itself. */
export interface AuditEntry extends Deed, Omit<By, 'door' | 'isOfMany'> {
  /** Counts the entries of a job from 1; 0: Temporal knows it, and the job does not. */
  readonly n: number;
  /** RFC 3339. */
  readonly at: string;
  readonly door: Door | 'job';
}

/** A deed, as the delivery log has it. */
export interface LoggedDeed extends Omit<AuditEntry, 'n'> {
  /** The kind of thing that it was done to. */
  readonly kind: 'job' | 'watch' | 'dead letter' | 'dead letters' | 'one of many' | 'person' | 'session';
  /**
   * The name of that: the job's id, the audience's slug, the id of the dead letter, that of a decision about many (`dead letters`), or `console`. No list
   * has the dead letters of such a decision (`one of many`). A person has a digest by the payload key, or without one the text `person`.
   */
  readonly target: string;
  /** Absent: it concerns no single job. */
  readonly jobId?: string;
}

/** The answer of the query `revision`. It contains whole webhook URLs. */
export interface RevisionAnswer {
  /** The oldest revision that the job still knows, and the one that it runs by. */
  readonly oldest: number;
  readonly current: number;
  /** The edit that takes it back to the revision; absent: it does not know that one. */
  readonly edit?: JobEdit;
}
