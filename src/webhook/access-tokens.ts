/** A token that an authorization server issued. */
export interface AccessToken {
  readonly value: string;
  /** When it expires, by the worker's clock, in epoch ms; absent when the server did not say. */
  readonly endsAtMs?: number;
}

interface HeldToken extends AccessToken {
  readonly fetchedAtMs: number;
  /** It was fetched because an endpoint refused the previous one. */
  readonly isRenewal: boolean;
  /** An endpoint has accepted it. */
  wasTaken: boolean;
}

/** A token is replaced this long before it expires, so that it stays valid for the whole slice that uses it. */
const MARGIN_MS = 30_000;
/**
 * A token is used for at least this long, whatever lifetime its server states, unless an endpoint refuses it: some servers state zero, and would
 * be asked again for every slice.
 */
const LEAST_USE_MS = 6_000;
/** After a failure the server is not asked again for this long, however many slices want a token. */
const FAILURE_PAUSE_MS = 2_000;
/** When the token that replaced a refused one is refused too, a third one is not tried for this long. */
const RENEWAL_PAUSE_MS = 60_000;
/** Most tokens fetched per minute because of refusals: an endpoint that alternately accepts and refuses would otherwise cause one for each refusal. */
const RENEWALS_A_MINUTE = 10;
const MINUTE_MS = 60_000;

/**
 * The access tokens of one authorization (RFC 6749, client credentials): one at a time, kept until shortly before it expires, fetched once for
 * all callers that wait for it, and once more when an endpoint refuses it.
 */
export class AccessTokens {
  readonly #fetch: () => Promise<AccessToken>;
  readonly #nowMs: () => number;
  #token: HeldToken | undefined;
  #fetching: Promise<HeldToken> | undefined;
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;
  #renewalsAtMs: number[] = [];

  /** @param fetch asks the authorization server for a token; rejects when it issues none. */
  constructor(fetch: () => Promise<AccessToken>, nowMs: () => number = Date.now) {
    this.#fetch = fetch;
    this.#nowMs = nowMs;
  }

  /** The token to use now. Rejects with the error of `fetch`. */
  async current(): Promise<AccessToken> {
    const token = this.#token;
    if (token !== undefined && this.#isFresh(token)) return token;
    return await this.#fetched(false);
  }

  /** To be called when an endpoint accepted a request with this token. */
  taken(token: AccessToken): void {
    if (this.#token === token) this.#token.wasTaken = true;
  }

  /** A token to try instead of this one, which an endpoint refused (401); undefined when there is no reason to expect that another would be accepted. */
  async insteadOf(refused: AccessToken): Promise<AccessToken | undefined> {
    const token = this.#token;
    if (token !== undefined && token.value !== refused.value) return token;
    if (token?.isRenewal === true && !token.wasTaken && this.#isWithin(RENEWAL_PAUSE_MS, token.fetchedAtMs))
      return undefined;
    this.#renewalsAtMs = this.#renewalsAtMs.filter((atMs) => this.#isWithin(MINUTE_MS, atMs));
    if (this.#renewalsAtMs.length >= RENEWALS_A_MINUTE) return await this.#fetching?.catch(() => undefined);
    try {
      return await this.#fetched(true);
    } catch {
      return undefined; // The caller reports the endpoint's refusal instead.
    }
  }

  #isFresh({ endsAtMs, fetchedAtMs }: HeldToken): boolean {
    if (endsAtMs === undefined) return true;
    const lifeMs = endsAtMs - fetchedAtMs;
    const useMs = Math.max(lifeMs - Math.min(MARGIN_MS, lifeMs / 2), LEAST_USE_MS);
    return this.#nowMs() < fetchedAtMs + useMs;
  }

  /** A time in the future does not count: the clock has been set back since, and the pause would last until the clock has caught up. */
  #isWithin(pauseMs: number, sinceMs: number): boolean {
    const passedMs = this.#nowMs() - sinceMs;
    return passedMs >= 0 && passedMs < pauseMs;
  }

  #fetched(isRenewal: boolean): Promise<HeldToken> {
    if (this.#failure !== undefined && this.#isWithin(FAILURE_PAUSE_MS, this.#failure.atMs))
      return Promise.reject(this.#failure.error);
    this.#fetching ??= this.#fetchOne(isRenewal).finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetchOne(isRenewal: boolean): Promise<HeldToken> {
    if (isRenewal) this.#renewalsAtMs.push(this.#nowMs());
    try {
      const token = await this.#fetch();
      this.#failure = undefined;
      this.#token = { ...token, isRenewal, wasTaken: false, fetchedAtMs: this.#nowMs() };
      return this.#token;
    } catch (error) {
      this.#failure = { error, atMs: this.#nowMs() };
      throw error;
    }
  }
}
