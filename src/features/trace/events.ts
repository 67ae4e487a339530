import type { Attempt } from '../../client/calls/attempt.ts';
import type { LoggedDeed } from '../../contract/audit.ts';
import type { DeedFilter, DeedPage } from '../delivery-log/deeds.ts';
import type { DeadLetterState } from '../../contract/dead-letter.ts';
import type { DeliveryFilter, DeliveryRow } from '../delivery-log/delivery.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';
import type { PersonStanding } from '../../contract/person-standing.ts';

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

/** Where a trace reads attempts, in place of histories. */
export interface AttemptLog {
  /** Yields attempts page by page, newest first, at most so many. */
  pages(filter: DeliveryFilter, most: number): AsyncIterable<readonly DeliveryRow[]>;
  /** Returns deeds, newest first, at most so many. */
  deeds(filter: DeedFilter, most: number): Promise<DeedPage>;
}
