import type { TriggerEvent } from './trigger.ts';

/** A trigger in few bytes: its audience by its place in a table, `1` for enter, `0` for exit. */
export type PackedTrigger = readonly [at: string, audience: number, event: 0 | 1, more?: PackedMore];

/** Fields that few triggers have. Each is absent where it does not apply: a live trigger has no backfill. */
export interface PackedMore {
  /** Its JSON. */
  readonly profile?: string;
  /** Bytes that the profile takes here; present when there is a profile. */
  readonly profileBytes?: number;
  /** In place of a profile: where it is. */
  readonly profileRef?: ProfileRef;
  /** The number of the backfill that it comes from. */
  readonly backfill?: number;
  /** True: it was told before, and a replay tells it again. */
  readonly replay?: true;
  /** How often it has been redelivered as a dead letter; absent: never. */
  readonly redelivery?: number;
  /** Requests that were made for it, or may have been; absent: none. */
  readonly attempts?: number;
  /** The older trigger that it replaced, until an attempt at this one is reported. */
  readonly superseded?: SupersededTrigger;
  /** When the job accepted it, epoch ms; absent where that was at about `at` (`waitsSince`). */
  readonly since?: number;
}

/** A member's trigger that a backfill or a replay queued, and that a newer trigger of the same person and audience replaced. */
export interface SupersededTrigger {
  readonly event: TriggerEvent;
  /** RFC 3339 */
  readonly at: string;
  /** As of a trigger in a slice; absent: none. */
  readonly attempts?: number;
  /** True: a replay queued it. */
  readonly replay?: true;
}

/** Where the profile of a trigger is that does not carry it: the name of a profile holder of its job, and the place there, from 0. */
export type ProfileRef = readonly [holder: string, place: number];

/** The content of a profile holder: the profiles of the triggers of one signal, as JSON texts. */
export interface SpilledProfiles {
  readonly profiles: readonly string[];
}

/** The content of a holder: waiting triggers in the order of their arrival. */
export interface PackedTriggers {
  /** Canonical ids of the audiences that they name, each once. */
  readonly audiences: readonly string[];
  readonly triggers: readonly (readonly [user: string, trigger: PackedTrigger])[];
}
