import type { SpacingEnd } from '../../../contract/slice.ts';
import type { BackfillIntake } from '../backfill.ts';
import type { JobRecord, Slice, Stopping } from '../job.ts';
import type { Chains } from '../queue/chains.ts';
import type { Step } from '../steps.ts';

/** How much of a job's quota is used; plain JSON. */
export interface CarriedQuota {
  /** When its period began; epoch ms. */
  readonly from: number;
  /** When its period ends; epoch ms. */
  readonly until?: number;
  /** Triggers that had, or may have had, their first attempt in it. */
  readonly used: number;
}

/** The spacing of a job with a request rate between two slices; plain JSON. */
export interface CarriedSpacing extends SpacingEnd {
  /** Epoch ms, by the job's clock, at which a slice reported it. */
  readonly at: number;
}

/** Since when ready triggers wait for a full batch, epoch ms; absent: nothing waits. Plain JSON. */
export interface CarriedGathering {
  readonly live?: number;
  readonly members?: number;
}

/** The state of a job that the throttles read and change. */
export interface Throttled {
  readonly job: JobRecord;
  readonly stopping?: Stopping | undefined;
  readonly chains: Chains;
  readonly slices: ReadonlyMap<number, Slice>;
  readonly backfill: BackfillIntake | undefined;
  readonly underWay: ReadonlySet<Step['kind']>;
  /** How long one request takes, in ms. */
  readonly requestMs: number;
  spacing?: CarriedSpacing | undefined;
  quota?: CarriedQuota | undefined;
  gathering?: CarriedGathering | undefined;
}
