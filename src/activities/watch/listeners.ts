import type { EventTrigger } from '../../contract/trigger.ts';

/** The running jobs that listen to an audience. */
export interface FoundListeners {
  readonly jobIds: readonly string[];
  /** Running jobs that are encrypted with a key that is not here, so that it is not known whether they listen. */
  readonly unreadable: readonly string[];
}

export interface TellOptions {
  /** When aborted, nothing more is sent. */
  readonly signal: AbortSignal;
  /** Called whenever the job has accepted more, and while it is waited for, with how many of these it has. */
  readonly onAccepted: (accepted: number) => void;
}

/** The jobs that changes are signalled to, as activities reach them. */
export interface Listeners {
  of(audience: string): Promise<FoundListeners>;
  /**
   * Signals triggers to a job in their order; resolves when it has them all, or has ended. A trigger of the same person, audience, event
   * and `at` may be signalled twice.
   * @throws when they cannot be signalled to it now.
   */
  tell(jobId: string, triggers: AsyncIterable<EventTrigger>, options: TellOptions): Promise<void>;
}
