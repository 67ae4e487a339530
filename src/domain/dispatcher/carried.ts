import type { Audience } from '../../contract/audience.ts';
import type { JobDefinition } from '../../contract/export-job.ts';
import type { BackfillStatus, LastFailure } from '../../contract/job-status.ts';
import type { ServerLimits } from '../../contract/ports.ts';
import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';
import type { Instant } from '../instant.ts';
import type { CarriedBreaker } from './breaker.ts';

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
}

/** A person's waiting triggers as they are carried through continue-as-new. */
export interface CarriedChain {
  readonly user: string;
  /** Oldest first. */
  readonly triggers: readonly QueuedTrigger[];
  /** Failed attempts of the oldest. */
  readonly failures?: number;
  /** How often the source did not know the person when the oldest was to be sent. */
  readonly profileTries?: number;
  /** Epoch ms before which the oldest is not sent: the chain is held. */
  readonly notBefore?: number;
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
  readonly serverLimits: ServerLimits;
}

export interface CarriedPage {
  readonly number: number;
  readonly audience: string;
  readonly ids: readonly string[];
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
  /** Number of the last page that the child was told is taken; 0 before the first. */
  readonly acknowledged: number;
  readonly lastPageSeen: boolean;
  readonly pages: readonly CarriedPage[];
  /** Triggers of this backfill in chains. */
  readonly inChains: number;
  readonly taken: number;
  readonly delivered: number;
  readonly superseded: number;
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
}

/** Why a job does not send although triggers wait. */
export interface Pause {
  readonly by: 'operator' | 'endpoint';
}

/** All that a job carries from run to run; plain JSON. */
export interface CarriedJob {
  readonly v: 1;
  readonly rules: number;
  readonly job: JobRecord;
  readonly seed: number;
  readonly lastAt: Instant;
  readonly chains: readonly CarriedChain[];
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
  readonly stopping?: { readonly waiting: 'deliver' | 'discard' };
  readonly throttle?: { readonly until: number; readonly streak: number };
  readonly breaker?: CarriedBreaker;
  readonly lastDeliveredAt?: number;
  readonly lastFailure?: LastFailure;
  readonly editProblem?: string;
}
