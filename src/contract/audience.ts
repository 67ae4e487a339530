/** An audience as its source knows it. */
export interface Audience {
  /** 32 lower-case hex digits: the canonical name of the audience everywhere inside. */
  readonly id: string;
  /** Short readable name: unique in the source at any moment, but it may belong to another audience later. */
  readonly slug: string;
  /** Name shown to people. */
  readonly name: string;
}

/** An audience in a source's list, with further facts. */
export interface AudienceListing extends Audience {
  /** How many members it has now; absent when the source cannot tell cheaply. */
  readonly size?: number;
  /** The shortest time window, in minutes, that the audience's definition looks back over; absent when it has none. */
  readonly windowMinutes?: number;
}

/** The audiences of a source, as many as fit into an answer. */
export interface AudienceList {
  readonly audiences: readonly AudienceListing[];
  /** How many there are in all. */
  readonly total: number;
}

/** One of a worker's authorizations, as it may be shown: without its values. */
export interface AuthorizationListing {
  /** The name by which jobs refer to it. */
  readonly name: string;
  /** The parts that it adds to requests, in words: `bearer token`, `signature`; empty when it adds nothing yet. */
  readonly kinds: readonly string[];
  /** Where it may be sent. */
  readonly origins: readonly string[];
  /** When its signing secrets end, RFC 3339; those without an end are not listed. */
  readonly signingSecretsEnd: readonly string[];
}
