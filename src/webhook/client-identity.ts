/** The certificate that a client presents when a TLS connection is opened. Identities are compared as objects: one object is one identity. */
export interface ClientIdentity {
  /** PEM, optionally followed by its chain. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  readonly passphrase?: string | undefined;
}
