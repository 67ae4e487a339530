import type { JobEdit } from './export-job.ts';
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
  | 'forget';

/** A field of the form before and after an edit, as people may see it. A long value is a text that ends with "…". */
export interface AuditChange {
  readonly field: keyof JobEdit;
  readonly from: Json;
  readonly to: Json;
}

/** A change that somebody made to a job, or to its backfill. */
export interface Deed {
  readonly action: AuditAction;
  /** The revision that a start or an edit made. */
  readonly revision?: number;
  /** With `edit`, in the order of the form. */
  readonly changes?: readonly AuditChange[];
  /** With `stop`: what becomes of the waiting triggers. */
  readonly waiting?: 'deliver' | 'keep' | 'discard';
}

/** A deed, and who did it. `who` is `endpoint` or `job`, and `door` is `job`, when the job did it by itself. */
export interface AuditEntry extends Deed, Omit<By, 'door'> {
  /** Counts the entries of a job from 1. */
  readonly n: number;
  /** RFC 3339. */
  readonly at: string;
  readonly door: Door | 'job';
}

/** The answer of the query `revision`. It contains whole webhook URLs. */
export interface RevisionAnswer {
  /** The oldest revision that the job still knows, and the one that it runs by. */
  readonly oldest: number;
  readonly current: number;
  /** The edit that takes it back to the revision; absent: it does not know that one. */
  readonly edit?: JobEdit;
}
