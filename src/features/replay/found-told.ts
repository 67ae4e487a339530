import type { LogGap } from '../delivery-log/delivery.ts';
import type { Replay } from '../../contract/replay.ts';
import type { ToldRow } from '../delivery-log/told-log.ts';

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
