import type { Audience } from './audience.ts';
import type { LogGap } from './delivery.ts';
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

/** A told trigger, as the delivery log has it. */
export interface ToldRow {
  /** RFC 3339: when it was told. */
  readonly at: string;
  readonly deliveryId: string;
  readonly user: string;
  /** Slug */
  readonly audience: string;
  readonly event: TriggerEvent;
  /** RFC 3339: the `at` of the trigger. */
  readonly triggerAt: string;
  /** It is left out: the person was told it again, or something newer that is not meant. */
  readonly isOutdated: boolean;
  /** Where the rows after it begin. */
  readonly next: string;
}

/** Where activities read what was told. */
export interface ToldLog {
  /**
   * Returns rows in the order in which they were told, at most `limit`; fewer only at the end.
   * @param after `next` of a row; absent: from the beginning.
   */
  told(query: ToldQuery, limit: number, after?: string): Promise<readonly ToldRow[]>;
  /** Waits for at most `waitMs` until all workers have written what they did before `until`, and returns which rows may be missing. */
  gaps(time: Pick<ToldQuery, 'since' | 'until'>, wait: { readonly waitMs: number }): Promise<readonly LogGap[]>;
}

/** Counts of what would be told again. */
export interface ToldCounts {
  readonly enters: number;
  readonly exits: number;
  readonly people: number;
  /** How many are left out, since something newer was told. */
  readonly outdated: number;
  /** How many are left out, since the job no longer has that audience or event, or another job had its id. */
  readonly foreign: number;
  /** The first of them, to show to people. */
  readonly first: readonly Omit<ToldRow, 'isOutdated' | 'next'>[];
  /** RFC 3339: when the last of them was told; absent: there is none. */
  readonly lastAt?: string;
  /** Times for which the log may lack rows. A worker of 0.1.0 does not say. */
  readonly gaps?: readonly LogGap[];
  /** With `deliveryId`: deliveries with different ids begin so, or are in a batch that does. */
  readonly isOfSeveral?: true;
}

/** A job told this, and tells it again if it is asked for this `replay`. */
export interface FoundTold extends ToldCounts {
  /** A UUID: asking twice for the same starts one replay. */
  readonly id: string;
  /** Canonical ids. */
  readonly audiences: readonly string[];
  readonly replay: Replay;
}
