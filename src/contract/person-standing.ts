import type { Audience } from './audience.ts';
import type { EndpointStatus, JobState, LastFailure, Waits } from './job-status.ts';
import type { TriggerEvent } from './trigger.ts';

/** A trigger of the person that is waiting. */
export interface WaitingTrigger {
  readonly event: TriggerEvent;
  /** Slug */
  readonly audience: string;
  /** RFC 3339 */
  readonly at: string;
  /** In the job's own state, or in this holder. */
  readonly holder?: string;
  /** Which backfill it comes from. */
  readonly backfill?: number;
  /** How often it was redelivered as a dead letter. */
  readonly redelivery?: number;
}

/** The place of a person's oldest triggers in the job's own state. */
export interface ChainStanding {
  /** `running`: in a slice. `delayed`: waits for its next attempt. `ready`: waits for its turn. */
  readonly place: 'ready' | 'delayed' | 'running';
  /** With `ready`: how many people are ahead. */
  readonly ahead?: number;
  /** Failed attempts of the oldest trigger. */
  readonly failures: number;
  /** How often the source did not know the person when the trigger was to be sent. */
  readonly profileTries: number;
  /** How many workers were lost in a row while they sent the oldest trigger, or were about to; absent: none. */
  readonly losses?: number;
  /** RFC 3339: with `delayed`, when it is sent again at the earliest. */
  readonly nextAttemptAt?: string;
}

/** The state of a person's triggers in a job. */
export interface PersonStanding {
  readonly state: JobState;
  /** Why the job is in this state, when that is not obvious. */
  readonly reason?: string;
  readonly endpoint?: EndpointStatus;
  /** The waits of the oldest of them, besides the endpoint's health and its own next attempt. */
  readonly waits: Waits;
  /** RFC 3339: when the job stops by itself; absent: when somebody stops it. */
  readonly endsAt?: string;
  /** The last failure of the whole job. */
  readonly lastFailure?: LastFailure;
  /** The oldest that wait, in their order, at most 20 of the job's own state and of each holder. */
  readonly waiting: readonly WaitingTrigger[];
  /** How many wait, those included that are not listed. */
  readonly waitingCount: number;
  /** Absent: none of them has had its turn yet. */
  readonly chain?: ChainStanding;
  /** Triggers on their way to becoming dead letters. */
  readonly pendingDeadLetters: number;
  /** A backfill found the person, but its enter is not queued yet. */
  readonly inPages: boolean;
}

/** Answer of the query `person`: the job's own knowledge, and where to look up the rest. */
export interface PersonAnswer extends PersonStanding {
  readonly v: 1;
  readonly subscriptionId: string;
  /** The audiences that the job subscribes to, or once did. */
  readonly audiences: readonly Audience[];
  /** Present when triggers of unknown people are in holders, or on their way there. */
  readonly overflow?: PersonOverflow;
}

export interface PersonOverflow {
  /** Holders, from this number on … */
  readonly first: number;
  /** … and before this one, … */
  readonly next: number;
  /** … but for these, which may not be there yet. */
  readonly notYet: readonly number[];
  /** The person's triggers that are in none of those, the oldest first, with the holder that they will go to, if that is settled. */
  readonly waiting: readonly WaitingTrigger[];
}
