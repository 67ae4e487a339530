import type { Audience } from './audience.ts';
import type { ProfileRef } from './holder.ts';
import type { LastFailure } from './job-status.ts';
import type { JsonObject, TriggerEvent } from './trigger.ts';

/** A trigger that will not be sent unless a person decides so: input of the workflow `deadLetter`, which keeps it for 30 days. */
export interface DeadLetter {
  readonly v: 1;
  readonly jobWorkflowId: string;
  readonly subscriptionId: string;
  readonly deliveryId: string;
  /** How often it was redelivered before; together with the delivery id it gives the workflow its id. */
  readonly redeliveries: number;
  readonly user: string;
  readonly audience: Audience;
  readonly event: TriggerEvent;
  /** RFC 3339, as signalled. */
  readonly at: string;
  /** Absent: it is read from the source when it is sent. */
  readonly profile?: JsonObject;
  readonly profileBytes?: number;
  /** Where its profile was, but is no longer: it is never sent with another one. A job sets this for every profile that the letter does not carry. */
  readonly profileRef?: ProfileRef;
  /** The last attempt. */
  readonly failure: LastFailure;
  /** Requests that were made, or may have been, over its whole life. Older letters count from their last redelivery. */
  readonly attempts: number;
  /** RFC 3339: when it was given up. */
  readonly diedAt: string;
  /** Whether the namespace has our search attributes. */
  readonly hasSearchAttributes: boolean;
}

/**
 * Argument of the job's signal `redeliver`, from a dead letter: it is queued after the person's waiting triggers. The job answers whether it
 * accepted it; until then the dead letter keeps it.
 */
export interface Redelivery {
  readonly subscriptionId: string;
  readonly asking: AskingLetter;
  /** Also when the job no longer subscribes to the audience. */
  readonly force: boolean;
  /** True: a person has discarded it meanwhile. The job must not accept it, only answer whether it already did. */
  readonly isWithdrawn: boolean;
  readonly user: string;
  readonly trigger: {
    /** Canonical id of the audience. */
    readonly audience: string;
    readonly event: TriggerEvent;
    readonly at: string;
    readonly profile?: JsonObject;
    readonly profileBytes?: number;
    readonly profileRef?: ProfileRef;
    /** How often it was redelivered, this time included. */
    readonly redelivery: number;
    /** The dead letter's `attempts`; absent from older letters. */
    readonly attempts?: number;
  };
}

/** The dead letter that asks a job to accept its trigger, and gets the answer. */
export interface AskingLetter {
  readonly workflowId: string;
  /** Its first run, by which the job knows it: a dead letter that asks twice is accepted once. */
  readonly runId: string;
  /** Counts its questions, from 1. */
  readonly question: number;
}

/** Why a job does not accept a dead letter. */
export type RedeliveryRefusal =
  /** It belongs to an earlier job of this id. */
  | 'other-subscription'
  /** The job no longer subscribes to its audience. */
  | 'audience-left'
  /** The job has stopped: it accepts nothing until it is resumed. */
  | 'stopped'
  /** The job is stopping, and drops waiting triggers. */
  | 'discarding'
  /** It was withdrawn before the job accepted it. */
  | 'withdrawn'
  /** The signal is not a trigger that the job can keep. */
  | 'unreadable';

/** Argument of a dead letter's signal `answer`, from its job. */
export interface RedeliveryAnswer {
  readonly runId: string;
  readonly question: number;
  /** Absent: the job has it, and will send it. */
  readonly refusal?: RedeliveryRefusal;
}

/** An answer, and the workflow that it goes to. */
export interface AddressedAnswer {
  readonly workflowId: string;
  readonly answer: RedeliveryAnswer;
}

/** Argument of a dead letter's signal `redeliver`. */
export interface RedeliverRequest {
  /**
   * True: redeliver even if the source now says that the person is (for an exit) or is not (for an enter) in the audience. Also redeliver if the
   * job no longer subscribes to it.
   */
  readonly force?: boolean;
}

/** How a dead letter ended, or that it is waiting. `redelivering` while it asks the source or the job: it may already be sent. */
export type DeadLetterState = 'waiting' | 'redelivering' | DeadLetterEnd;

/** Result of the workflow `deadLetter`. */
export type DeadLetterEnd = 'redelivered' | 'discarded' | 'expired';

/** Answer of a dead letter's query `status`. */
export interface DeadLetterStatus {
  readonly v: 1;
  readonly state: DeadLetterState;
  readonly jobId: string;
  /** The job that can send it has this subscription. */
  readonly subscriptionId: string;
  readonly deliveryId: string;
  readonly redeliveries: number;
  readonly user: string;
  readonly audience: Audience;
  readonly event: TriggerEvent;
  readonly at: string;
  readonly profile?: JsonObject;
  readonly failure: LastFailure;
  readonly attempts: number;
  readonly diedAt: string;
  /** RFC 3339: when it ends by itself. */
  readonly expiresAt: string;
  /** Why the last request to redeliver it failed, and what to do. */
  readonly notice?: string;
  /** With a notice: it would be sent if it were redelivered with `force`. */
  readonly forceable?: true;
  /** How many have asked for the decision that is carried out, if they are several. */
  readonly asked?: number;
}

/** A decision about many dead letters. If it ends early, decided letters stay decided, and all others keep waiting. */
export interface DecisionStatus {
  readonly id: string;
  readonly action: 'redeliver' | 'discard';
  /** The only job that it is about; absent: it may be about any. */
  readonly jobId?: string;
  readonly who?: string;
  /** RFC 3339: when it began. */
  readonly at: string;
  /** `stopped`: by a person, or since the API shut down; `failed`: `problem` says why. */
  readonly state: 'running' | 'done' | 'stopped' | 'failed';
  readonly problem?: string;
  readonly letters: number;
  readonly done: number;
  /** Letters that were tried and keep waiting, by reason. */
  readonly failures: { readonly reason: string; letters: number; readonly ids: string[] }[];
}
