import type { BackfillCursor } from '../../contract/backfill.ts';
import type { BackfillStatus } from '../../contract/job-status.ts';
import type { CarriedMeter } from '../meter.ts';
import type { CarriedPace } from './backfill-pace.ts';

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
