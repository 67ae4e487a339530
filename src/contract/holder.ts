import type { JsonObject } from './trigger.ts';

/** A trigger in few bytes: its audience by its place in a table, `1` for enter, `0` for exit. */
export type PackedTrigger = readonly [at: string, audience: number, event: 0 | 1, more?: PackedMore];

/** What few triggers have. */
export interface PackedMore {
  /** Its JSON; before rules 4, the object. */
  readonly profile?: string | JsonObject;
  /** Bytes that the profile takes here; present when there is a profile. */
  readonly profileBytes?: number;
  /** The number of the backfill that it comes from. */
  readonly backfill?: number;
  /** How often it has been redelivered as a dead letter. */
  readonly redelivery?: number;
  /** When the job accepted it, epoch ms; absent where that was at about `at`. */
  readonly since?: number;
  /** True: a request was made for it that a quota counted. */
  readonly counted?: true;
}

/** What a holder workflow keeps: waiting triggers in the order of their arrival. */
export interface PackedTriggers {
  /** Canonical ids of the audiences that they name, each once. */
  readonly audiences: readonly string[];
  readonly triggers: readonly (readonly [user: string, trigger: PackedTrigger])[];
}
