/** What a client shows of itself when a TLS connection is opened. One object is one identity. */
export interface ClientIdentity {
  /** PEM, perhaps with the chain behind it. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  readonly passphrase?: string | undefined;
}
