/** What may be told of one of a worker's authorizations: no value of it. */
export interface AuthorizationListing {
  /** What jobs call it. */
  readonly name: string;
  /** What requests get of it, in words: `bearer token`, `signature`; none of it means that it has nothing yet. */
  readonly kinds: readonly string[];
  /** Where it may be sent. */
  readonly origins: readonly string[];
  /** When signing secrets of it end, RFC 3339; those without an end are not here. */
  readonly signingSecretsEnd: readonly string[];
}
