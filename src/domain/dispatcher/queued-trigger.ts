import type { JsonObject, TriggerEvent } from '../../contract/trigger.ts';

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
  /** How often it came back from being a dead letter; absent = never. */
  readonly redelivery?: number;
}
