import type { LogGap } from './delivery.ts';
import type { ToldQuery } from '../../contract/replay.ts';
import type { TriggerEvent } from '../../contract/trigger.ts';

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
