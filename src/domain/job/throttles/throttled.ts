import type { SpacingEnd } from '../../../contract/slice.ts';
import type { BackfillIntake } from '../backfill.ts';
import type { JobRecord, Slice, Stopping } from '../job.ts';
import type { Chains } from '../queue/chains.ts';
import type { Step } from '../steps.ts';

/** How much of a job's quota is used; plain JSON. */
export interface CarriedQuota {
  /** When the period began that it is of; epoch ms. */
  readonly from: number;
  /** When it ends; epoch ms. */
  readonly until?: number;
  /** Triggers whose first attempt was in it, or may have been. */
  readonly used: number;
}

/** What a job with a request rate remembers between two slices; plain JSON. */
export interface CarriedSpacing extends SpacingEnd {
  /** Epoch ms, by the job's clock, at which a slice said so. */
  readonly at: number;
}

/** Since when what is ready waits until it fills a batch, epoch ms; absent: nothing waits. Plain JSON. */
export interface CarriedGathering {
  readonly live?: number;
  readonly members?: number;
}

/** What the throttles know of a job, and keep in it. */
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
