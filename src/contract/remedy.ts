/** The actions that may fix a failure; `words/remedy.ts` says each in words. */
export type RemedyAction =
  | 'listJobs'
  | 'status'
  | 'logged'
  | 'start'
  | 'edit'
  | 'resume'
  | 'recover'
  | 'discard'
  | 'discardRecoverable'
  | 'listWatches'
  | 'listDeadLetters'
  | 'deadLetter'
  | 'force'
  | 'render'
  | 'startWorker'
  | 'startTemporal'
  | 'findTest';

/** An action that may fix a failure. */
export interface Remedy {
  readonly action: RemedyAction;
  /** The job that it applies to. */
  readonly job?: string;
  /** The dead letter. */
  readonly id?: string;
}
