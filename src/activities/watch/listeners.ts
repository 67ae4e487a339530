import type { EventTrigger } from '../../contract/trigger.ts';

/** The running jobs that listen to an audience. */
export interface FoundListeners {
  readonly jobIds: readonly string[];
  /** Running jobs that are encrypted with a key which is not here: whether they listen is not known. */
  readonly unreadable: readonly string[];
}

export interface TellOptions {
  /** Aborted: no more is sent. */
  readonly signal: AbortSignal;
  /** Called whenever more is with the job, and while it waits: how many it has of these. */
  readonly onAccepted: (accepted: number) => void;
}

/** The jobs to be told of changes, as activities reach them. */
export interface Listeners {
  of(audience: string): Promise<FoundListeners>;
  /**
   * Signals triggers to a job in their order; resolves when it has them all, or has ended. A trigger of the same person, audience, event and `at` may be
   * signalled twice.
   * @throws when they cannot be brought to it now.
   */
  tell(jobId: string, triggers: AsyncIterable<EventTrigger>, options: TellOptions): Promise<void>;
}
