import type { LastFailure } from '../../contract/job-status.ts';
import type { Instant } from '../instant.ts';
import { isRecord } from '../json.ts';
import type { CarriedMeter } from '../meter.ts';
import { NewerState, refuseNewer } from '../newer-state.ts';
import type { CarriedAlerts } from './alerts.ts';
import type { CarriedBreaker } from './breaker.ts';
import type { CarriedBackfill } from './carried-backfill.ts';
import type { CarriedChain } from './chain.ts';
import type { DeadTrigger } from './dead-letters.ts';
import type { JobRecord } from './job-record.ts';
import type { CarriedOverflow } from './overflow.ts';

/** The version of the rules below. It changes only between runs, so that a run is replayed by the rules it began with. */
export const RULES = 1;

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
  /** Epoch ms at which what is still waiting is kept. Set with `deliver`. */
  readonly deadlineAt?: number;
}

/**
 * Whether a job's input is what the previous run carried, rather than a definition.
 * @throws NewerState
 */
export function isCarriedJob(input: unknown): input is CarriedJob {
  refuseNewerJob(input);
  return isRecord(input) && input['v'] === 1 && 'chains' in input;
}

/**
 * Refuses a state that this release cannot continue from.
 * @throws NewerState when a newer release carried it, or decided by newer rules.
 */
export function refuseNewerJob(input: unknown): void {
  refuseNewer('The state of this job', input);
  const rules = isRecord(input) && 'chains' in input ? input['rules'] : undefined;
  if (typeof rules === 'number' && rules > RULES) throw new NewerState('The state of this job (its rules)', rules);
}

/**
 * Everything that a job carries from run to run; plain JSON. What a later release adds is optional, here and in every part of it, because
 * jobs of older releases do not have it. What cannot be optional needs a new `v`.
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
  /** Holders that are no longer needed and have yet to be released. */
  readonly owedReleases: readonly string[];
  /** Dead triggers that are not yet confirmed to be kept. */
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
  /** What was lost from outside, in words. */
  readonly loss?: string;
  readonly alerts?: CarriedAlerts;
}
