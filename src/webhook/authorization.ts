import type { AuthorizationListing } from '../contract/audience.ts';
import type { SigningKey } from './signature.ts';

/** The certificate that a client presents when a TLS connection is opened. Identities are compared as objects: one object is one identity. */
export interface ClientIdentity {
  /** PEM, optionally followed by its chain. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  readonly passphrase?: string | undefined;
}

/** The credentials of a request, by which its endpoint accepts it. */
export interface RequestAuthorization {
  /** Name, value, name, value …, as undici accepts them. */
  readonly headers: readonly string[];
  /** Added to the URL's query, encoded. */
  readonly query: string;
  readonly signingKeys: readonly SigningKey[];
  readonly identity?: ClientIdentity | undefined;
  /** Texts that must not appear in any answer that is kept. */
  readonly secrets: readonly string[];
  /** Whether it may be sent to this URL, exactly as it is. */
  readonly reaches: (url: URL) => boolean;
  /** Call this when the endpoint accepted a request with this authorization. */
  readonly taken: () => void;
  /** The authorization to send instead, once, after the endpoint refused this one with a 401. Undefined: there is no other. */
  readonly instead: () => Promise<RequestAuthorization | undefined>;
}

export type AuthorizationLookup =
  | { readonly ok: true; readonly authorization: RequestAuthorization }
  | { readonly ok: false; readonly code: string; readonly reason?: string };

/** The authorizations that a worker was configured with, by their names. */
export interface Authorizations {
  readonly names: readonly string[];
  /** The authorizations as they may be shown, sorted by name. */
  list(): AuthorizationListing[];
  /** The names of the headers that requests under this name carry, in small letters. */
  headersOf(name: string): ReadonlySet<string>;
  /** The jobs that may use the authorization of this name; undefined: all. */
  jobsOf(name: string | null): readonly string[] | undefined;
  /**
   * The code of the reason why a job may send nothing to this URL under that name; undefined when there is none.
   * @param url if it has a template, the path before that counts.
   * @param jobId undefined: it is not sent by a job.
   */
  refusalOf(name: string | null, url: URL, jobId?: string): string | undefined;
  /**
   * Looks up the authorization of this name for a job's requests to this URL. It never contains a secret that is not bound to the URL's origin. Each
   * request asks it whether it `reaches` the URL.
   */
  lookUp(name: string | null, url: URL, jobId?: string): Promise<AuthorizationLookup>;
}
