/** A token of an authorization server, while it may be used. */
export interface AccessToken {
  readonly value: string;
  /** On the worker's clock, epoch ms; absent: the server did not say. */
  readonly endsAtMs?: number;
}

interface HeldToken extends AccessToken {
  readonly fetchedAtMs: number;
  /** Fetched since an endpoint refused the one before. */
  readonly isRenewal: boolean;
  /** An endpoint took it. */
  wasTaken: boolean;
}

/** A token is not begun with that ends so soon: a slice lasts that long. */
const MARGIN_MS = 30_000;
/** So long a token is used whatever its server says of its end, unless an endpoint refuses it: some say zero, and would be asked for each slice. */
const LEAST_USE_MS = 6_000;
/** What fails is not asked again before, however many slices want a token. */
const FAILURE_PAUSE_MS = 2_000;
/** A token that replaced a refused one and is refused itself: so long nothing speaks for a third. */
const RENEWAL_PAUSE_MS = 60_000;
/** Tokens that are fetched a minute because of refusals: an endpoint that takes and refuses by turns would have one fetched for each. */
const RENEWALS_A_MINUTE = 10;
const MINUTE_MS = 60_000;

/**
 * The access tokens of one authorization (RFC 6749, client credentials): one at a time, kept until shortly before its end, fetched once for all who
 * wait for it, and once more when an endpoint refuses it.
 */
export class AccessTokens {
  readonly #fetch: () => Promise<AccessToken>;
  readonly #nowMs: () => number;
  #token: HeldToken | undefined;
  #fetching: Promise<HeldToken> | undefined;
  #failure: { readonly error: unknown; readonly atMs: number } | undefined;
  #renewalsAtMs: number[] = [];

  /** @param fetch asks the authorization server; rejects when it gives none. */
  constructor(fetch: () => Promise<AccessToken>, nowMs: () => number = Date.now) {
    this.#fetch = fetch;
    this.#nowMs = nowMs;
  }

  /** The token to use now. Rejects as the server's answer says. */
  async current(): Promise<AccessToken> {
    const token = this.#token;
    if (token !== undefined && this.#isFresh(token)) return token;
    return await this.#fetched(false);
  }

  /** An endpoint took a request with this token. */
  taken(token: AccessToken): void {
    if (this.#token === token) this.#token.wasTaken = true;
  }

  /** Another token than this one, which an endpoint refused (401); undefined when there is no reason to think that another would be taken. */
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
      return undefined; // That the endpoint refused is what is told.
    }
  }

  #isFresh({ endsAtMs, fetchedAtMs }: HeldToken): boolean {
    if (endsAtMs === undefined) return true;
    const lifeMs = endsAtMs - fetchedAtMs;
    const useMs = Math.max(lifeMs - Math.min(MARGIN_MS, lifeMs / 2), LEAST_USE_MS);
    return this.#nowMs() < fetchedAtMs + useMs;
  }

  /** A time that is still to come is none: the clock was set back since, and a pause would last as long as that. */
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
