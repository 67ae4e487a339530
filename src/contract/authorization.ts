/** What may be shown of one of a worker's authorizations: none of its values. */
export interface AuthorizationListing {
  /** The name by which jobs refer to it. */
  readonly name: string;
  /** What it adds to requests, in words: `bearer token`, `signature`; empty when it adds nothing yet. */
  readonly kinds: readonly string[];
  /** Where it may be sent. */
  readonly origins: readonly string[];
  /** When its signing secrets end, RFC 3339; those without an end are not listed. */
  readonly signingSecretsEnd: readonly string[];
}
