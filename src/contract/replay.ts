import type { Audience } from './audience.ts';
import type { TriggerEvent } from './trigger.ts';

// Sending again what the delivery log says that an endpoint was told. A trigger was told when an attempt delivered it.

/** Which told triggers are meant: those for which all of this holds. */
export interface ReplayFilter {
  /** RFC 3339, inclusive: when it was told. Absent: as far back as the log reaches. */
  readonly since?: string | undefined;
  /** RFC 3339, exclusive. Absent: now. */
  readonly until?: string | undefined;
  readonly user?: string | undefined;
  /** The header `webhook-id`, or at least 8 of its first digits, which must be those of one delivery alone. A batch's must be whole. Nothing is meant if the person was told something newer about that audience. */
  readonly deliveryId?: string | undefined;
  /** Only what each person was told last about each audience. Default false. */
  readonly onlyLast?: boolean | undefined;
}

/** A backfill tells this again, in place of all members. */
export interface Replay extends ReplayFilter {
  readonly until: string;
  /** Give each trigger another `at`, and so another `webhook-id`, for a receiver that would drop what it knows. Default false. */
  readonly newIds?: boolean | undefined;
  /** How many enters and exits were found when it was asked for. */
  readonly enters: number;
  readonly exits: number;
}

/** Argument of the activities that read what a job told. */
export interface ToldQuery extends ReplayFilter {
  readonly jobId: string;
  readonly subscriptionId: string;
  /** The job may send these. */
  readonly audiences: readonly Audience[];
  readonly events: readonly TriggerEvent[];
  /** Slugs: read what was told about these alone. Absent: about all, which counts what is not of this job any more. */
  readonly only?: readonly string[] | undefined;
}
