import type { BackfillCursor } from '../../contract/backfill.ts';
import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { PackedTrigger } from '../../contract/holder.ts';
import type { BackfillStatus, LastFailure } from '../../contract/job-status.ts';
import type { ServerLimits } from '../../contract/ports.ts';
import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import type { Instant } from '../instant.ts';
import { isRecord } from '../json.ts';
import type { CarriedMeter } from '../meter.ts';
import { NewerState, refuseNewer } from '../newer-state.ts';
import type { CarriedAlerts } from './alerts.ts';
import type { CarriedPace } from './backfill-pace.ts';
import type { CarriedBreaker } from './breaker.ts';
import type { ParkedTriggers } from './chain.ts';
import type { DeadTrigger } from './dead-letters.ts';
import type { CarriedOverflow } from './overflow.ts';

/** The version of the rules below; it changes only where a run ends, so that a run is replayed by the rules it began with. */
export const RULES = 1;

/** A trigger in its person's chain. */
export interface QueuedTrigger {
  readonly audience: string;
  readonly event: TriggerEvent;
  readonly at: string;
  readonly profile?: JsonObject;
  /** Bytes of the profile's JSON; there with a profile. */
  readonly profileBytes?: number;
  /** Which backfill it comes from; absent for a live trigger. */
  readonly backfill?: number;
  /** How often it came back from being a dead letter; absent = never. */
  readonly redelivery?: number;
}

/** A person's waiting triggers, oldest first, as they are carried through continue-as-new. */
export type CarriedChain = readonly [user: string, triggers: readonly PackedTrigger[], more?: CarriedHead];

/** What the oldest trigger of a chain went through. */
export interface CarriedHead {
  /** Its failed attempts. */
  readonly failures?: number;
  /** How often the source did not know the person when it was to be sent. */
  readonly profileTries?: number;
  /** Epoch ms before which it is not sent: the chain is held. */
  readonly notBefore?: number;
  /** The oldest triggers, while a holder keeps them. */
  readonly parked?: ParkedTriggers;
}

/** What an accepted definition comes to. */
export interface JobRecord {
  readonly subscriptionId: string;
  readonly revision: number;
  readonly definition: JobDefinition;
  /** The audiences listened to. */
  readonly audiences: readonly Audience[];
  /** Audiences listened to once, of which triggers may still wait. */
  readonly formerAudiences: readonly Audience[];
  readonly sourceLagMs: number;
  readonly missingSearchAttributes: readonly string[];
  readonly warnings: readonly string[];
  readonly requestTimeoutMs: number;
  /** Triggers that wait longer, in ms, are worth an alert. */
  readonly alertBacklogMs: number;
  readonly serverLimits: ServerLimits;
}

export interface CarriedPage {
  readonly number: number;
  readonly audience: string;
  readonly ids: readonly string[];
}

/** Members of a backfill, by what became of them. */
export interface BackfillCounts {
  taken: number;
  delivered: number;
  superseded: number;
  dead: number;
}

export interface CarriedBackfill {
  readonly n: number;
  readonly requestId?: string;
  readonly audiences: readonly string[];
  readonly at: string;
  readonly state: BackfillStatus['state'];
  /** True once the child workflow was started. */
  readonly started: boolean;
  /** Number of the page that is taken next. */
  readonly nextPage: number;
  /** Where that page begins. */
  readonly cursor: BackfillCursor;
  /** Number of the last page that the child was told is taken; 0 before the first. */
  readonly acknowledged: number;
  readonly lastPageSeen: boolean;
  readonly pages: readonly CarriedPage[];
  /** Triggers of this backfill in chains. */
  readonly inChains: number;
  readonly counts: Readonly<BackfillCounts>;
  readonly meter: CarriedMeter;
  /** How many members the source counted at the start; absent when it did not say. */
  readonly expected?: number;
  readonly pace: CarriedPace;
  /** Epoch ms of the child's last sign of life. */
  readonly heardAt: number;
  /** How often in a row the next page was sent back to be read again. */
  readonly readAgain: number;
}

export interface Counters {
  received: number;
  delivered: number;
  retried: number;
  rejected: number;
  /** Triggers signalled again while the first was waiting or had just been delivered; they count as received too. */
  repeated: number;
  /** Triggers that became dead letters. */
  deadLetters: number;
}

/** Why a job does not send although triggers wait. */
export interface Pause {
  readonly by: 'operator' | 'endpoint';
}

/** How a job ends. */
export interface Stopping {
  /** What becomes of the triggers that wait: sent first, kept for a later resume, or dropped. */
  readonly waiting: 'deliver' | 'keep' | 'discard';
  /** Epoch ms: what waits then is kept. There with `deliver`. */
  readonly deadlineAt?: number;
}

/**
 * Whether a job's input is what a run before it carried, and not a definition.
 * @throws NewerState
 */
export function isCarriedJob(input: unknown): input is CarriedJob {
  refuseNewerJob(input);
  return isRecord(input) && input['v'] === 1 && 'chains' in input;
}

/**
 * Refuses a state that this release cannot go on with.
 * @throws NewerState when a newer release carried it, or decided by newer rules.
 */
export function refuseNewerJob(input: unknown): void {
  refuseNewer('The state of this job', input);
  const rules = isRecord(input) && 'chains' in input ? input['rules'] : undefined;
  if (typeof rules === 'number' && rules > RULES) throw new NewerState('The state of this job (its rules)', rules);
}

/**
 * All that a job carries from run to run; plain JSON. What a later release adds to it is optional, here and in every part of it: jobs of
 * older releases do not have it. What cannot be optional is a new `v`.
 */
export interface CarriedJob {
  readonly v: 1;
  readonly rules: number;
  readonly job: JobRecord;
  readonly seed: number;
  readonly lastAt: Instant;
  /** The audiences that the chains name. */
  readonly audiences: readonly string[];
  readonly chains: readonly CarriedChain[];
  readonly overflow: CarriedOverflow;
  /** Number of the next holder for parked triggers. */
  readonly nextParked: number;
  /** Holders that are nobody's any more and have yet to be told so. */
  readonly owedReleases: readonly string[];
  /** Triggers that are dead, and of which it is not confirmed that they are kept. */
  readonly dying: readonly DeadTrigger[];
  /** Keys of the last deliveries, oldest first. */
  readonly deliveredKeys: readonly string[];
  readonly backfill?: CarriedBackfill;
  /** Live arrivals remembered, oldest first: membership key and epoch ms. */
  readonly arrivals: readonly (readonly [key: string, at: number])[];
  /** Epoch ms up to which the memory of live arrivals has lost something. */
  readonly arrivalsForgottenUntil: number;
  readonly counters: Counters;
  readonly rejects: readonly { readonly at: string; readonly reason: string }[];
  readonly nextSliceId: number;
  readonly requestMs: number;
  readonly pause?: Pause;
  readonly stopping?: Stopping;
  readonly throttle?: { readonly until: number; readonly streak: number };
  readonly breaker?: CarriedBreaker;
  readonly lastDeliveredAt?: number;
  readonly meter: CarriedMeter;
  readonly lastFailure?: LastFailure;
  readonly editProblem?: string;
  /** What was lost by no doing of ours, in words. */
  readonly loss?: string;
  readonly alerts?: CarriedAlerts;
}
