import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';

/** A trigger in its person's chain. */
export interface QueuedTrigger {
  readonly audience: string;
  readonly event: TriggerEvent;
  readonly at: string;
  readonly profile?: JsonObject;
  /** Bytes of the profile's JSON; set when there is a profile. */
  readonly profileBytes?: number;
  /** The number of the backfill that it comes from; absent for a live trigger. */
  readonly backfill?: number;
  /** How often it has been redelivered as a dead letter; absent = never. */
  readonly redelivery?: number;
}
