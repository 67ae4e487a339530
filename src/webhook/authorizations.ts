import type { AuthorizationConfig } from '../config.ts';
import { readSigningSecret, type SigningKey } from './signature.ts';

/** What a request carries for its endpoint's sake. */
export interface RequestAuthorization {
  /** Name, value, name, value … as undici takes them. */
  readonly headers: readonly string[];
  readonly signingKeys: readonly SigningKey[];
}

export type AuthorizationLookup =
  | { readonly ok: true; readonly authorization: RequestAuthorization }
  | { readonly ok: false; readonly reason: 'unknown' | 'elsewhere' };

const NONE: RequestAuthorization = { headers: [], signingKeys: [] };

/** The authorizations that a worker was configured with. Secrets stay in here: nothing else of the worker reads them. */
export class Authorizations {
  readonly #byName = new Map<string, { origins: ReadonlySet<string>; authorization: RequestAuthorization }>();

  constructor(config: Readonly<Record<string, AuthorizationConfig>>) {
    for (const [name, { origins, headers, signingSecrets }] of Object.entries(config)) {
      this.#byName.set(name, {
        origins: new Set(origins.map((origin) => new URL(origin).origin)),
        authorization: { headers: Object.entries(headers).flat(), signingKeys: signingSecrets.map(readSigningSecret) },
      });
    }
  }

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  /** What to send to this URL under that name; never a secret to an origin that it is not bound to. */
  lookUp(name: string | null, url: URL): AuthorizationLookup {
    if (name === null) return { ok: true, authorization: NONE };
    const found = this.#byName.get(name);
    if (found === undefined) return { ok: false, reason: 'unknown' };
    if (!found.origins.has(url.origin)) return { ok: false, reason: 'elsewhere' };
    return { ok: true, authorization: found.authorization };
  }
}
