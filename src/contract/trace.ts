import type { Arrival } from '../domain/job/steps.ts';
import type { Attempt, SliceRun } from './attempt.ts';
import type { Audience } from './audience.ts';
import type { DeedFilter, DeedPage, LoggedDeed } from './audit.ts';
import type { AddressedAnswer, DeadLetter, DeadLetterState } from './dead-letter.ts';
import type { DeliveryFilter, DeliveryRow } from './delivery.ts';
import type { EndpointStatus, JobState, LastFailure, Waits } from './job-status.ts';
import type { TriggerEvent } from './trigger.ts';

/** A fact about triggers from the history of a job's run. */
export type JobFact = { readonly runId: string; readonly atMs: number } &
  /** With all of its arguments; a workflow of ours takes one. */
  (
    | { readonly kind: 'began'; readonly args: readonly unknown[] }
    /** A worker completed a task of it. */
    | { readonly kind: 'ran' }
    | { readonly kind: 'signalled'; readonly name: string; readonly arrivals: readonly Arrival[] }
    /** A signal whose payload is encrypted with a key that is not here. */
    | { readonly kind: 'unreadable'; readonly name: string; readonly error: Error }
    /** The worker wrote down something by this name, such as that it refused a signal (`refusedSignalMarker`). */
    | { readonly kind: 'marked'; readonly name: string }
    /** A definition was checked, with this result. */
    | { readonly kind: 'prepared'; readonly result: unknown }
    | ({ readonly kind: 'slice' } & SliceRun)
    | { readonly kind: 'died'; readonly letters: readonly DeadLetter[] }
    /** The job decided whether it takes dead letters that were redelivered. */
    | { readonly kind: 'answered'; readonly answers: readonly AddressedAnswer[] }
    /** Somebody asked for the job to be stopped, and decided about the waiting triggers. */
    | { readonly kind: 'stop-asked'; readonly waiting: unknown }
    /** The run closed; with the run that continues it, if there is one. */
    | { readonly kind: 'closed'; readonly nextRunId?: string }
    /** Everything that existed when reading began has been read; only where a history is followed. */
    | { readonly kind: 'caught-up' }
  );

interface TraceLine {
  readonly jobId: string;
  /** RFC 3339 */
  readonly at: string;
}

/** A trigger was signalled to the job. A redelivered dead letter is reported once the job has answered it. */
export interface TriggerReceived extends TraceLine {
  readonly kind: 'received';
  readonly runId: string;
  readonly event?: TriggerEvent;
  /** Slug, or the trigger's own name for it when the job knows no such audience. */
  readonly audience?: string;
  /** The trigger's own `at`; absent: when the job received it. */
  readonly triggerAt?: string;
  /** How often it has been redelivered as a dead letter, including this time. */
  readonly redelivery?: number;
  /** The job dropped it (`stale`), since it had accepted a change that happened then. RFC 3339 */
  readonly newerAt?: string;
  /** Why it was not a trigger for this job, in words. */
  readonly refused?: string;
}

/**
 * A backfill found the person among the members, on the endpoint's list although not a member, or among those who are told again. The job leaves
 * out people with a newer live trigger.
 */
export interface MemberFound extends TraceLine {
  readonly kind: 'found';
  readonly runId: string;
  readonly audience: string;
  /** The number of the backfill, from 1. */
  readonly backfill: number;
  /** The event that it sends; absent: an enter. */
  readonly event?: TriggerEvent;
  /** In a replay: the `at` of the trigger that is told again. */
  readonly triggerAt?: string;
}

/** A slice that the trigger was in has ended, or is running. `at` is its end, or its start while it is running. */
export interface TriggerAttempted extends TraceLine, Attempt {
  readonly kind: 'attempted';
}

/** The trigger became a dead letter. */
export interface TriggerDied extends TraceLine {
  readonly kind: 'died';
  readonly deadLetterId: string;
  readonly event: TriggerEvent;
  readonly audience: string;
  readonly triggerAt: string;
  /** The result of the last attempt, in words. */
  readonly failure: string;
  readonly attempts: number;
  /** Its state now; `terminated`: its workflow was ended from outside; `gone`: the server has forgotten it. */
  readonly state: DeadLetterState | 'terminated' | 'gone';
  /** Why the last request to redeliver it failed. */
  readonly notice?: string;
  /** Who decided so, when and why; only from a delivery log. */
  readonly decision?: Pick<LoggedDeed, 'at' | 'who' | 'door' | 'reason'>;
}

/** Somebody stopped the job with `discard`, which drops triggers that it had not sent by then, this person's like everybody's. */
export interface JobDiscarded extends TraceLine {
  readonly kind: 'discarded';
  readonly runId: string;
}

/** The state of the person's triggers in a job now. Comes last for each job. */
export interface PersonStands extends TraceLine {
  readonly kind: 'stands';
  /** Absent when it is unknown. */
  readonly standing?: PersonStanding;
  /** Why it is unknown, or what the answer leaves out, in words. */
  readonly notice?: string;
}

/** A part that the trace could not read. */
export interface TraceLeftOut extends TraceLine {
  readonly kind: 'left-out';
  readonly reason: string;
}

export type TraceEvent =
  TriggerReceived | MemberFound | TriggerAttempted | TriggerDied | JobDiscarded | PersonStands | TraceLeftOut;

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

/** Where a trace reads attempts, in place of histories. */
export interface AttemptLog {
  /** Yields attempts page by page, newest first, at most so many. */
  pages(filter: DeliveryFilter, most: number): AsyncIterable<readonly DeliveryRow[]>;
  /** Returns deeds, newest first, at most so many. */
  deeds(filter: DeedFilter, most: number): Promise<DeedPage>;
}
