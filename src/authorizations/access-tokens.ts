import {
  allowInsecureRequests,
  type ClientAuth,
  clientCredentialsGrantRequest,
  ClientSecretPost,
  customFetch,
  processClientCredentialsResponse,
  ResponseBodyError,
} from 'oauth4webapi';
import type { OAuth2Config } from './authorization-config.ts';
import { isRecord } from '../domain/json.ts';
import { ATTEMPT_CODES } from '../domain/verdict.ts';
import { type GuardedAgents, wholeBody } from '../network/guarded-agents.ts';
import type { ClientIdentity } from '../webhook/authorization.ts';

/**
 * No token was issued. `reason` is never text that the server wrote. It is an error code of RFC 6749 (`invalid_client`), an HTTP status, or a code of
 * Node, undici or ours.
 */
export class TokenUnavailable extends Error {
  override readonly name = 'TokenUnavailable';
  readonly reason: string;

  constructor(reason: string) {
    super(`The authorization server gave no access token: ${reason}.`);
    this.reason = reason;
  }
}

/** Longest time, in ms, to get a token: less than a slice may take before it sends. */
const TIMEOUT_MS = 4_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** The error codes of RFC 6749, 5.2; anything else is the server's own text. */
const OAUTH_ERRORS =
  /^(invalid_request|invalid_client|invalid_grant|unauthorized_client|unsupported_grant_type|invalid_scope)$/;

/**
 * The characters of a token (RFC 6749, A.12), and as many as a header may have. Any other token is refused here, because otherwise each trigger
 * would fail as if the endpoint were at fault.
 */
const TOKEN = /^[\x20-\x7e]+$/;
const TOKEN_LENGTH = 8192;
/** How the reason begins if a server answered with success, but without a usable token. */
const INVALID_TOKEN = 'INVALID_TOKEN';

export interface TokenEndpointOptions {
  readonly config: OAuth2Config;
  readonly agents: GuardedAgents;
  readonly identity?: ClientIdentity | undefined;
}

/**
 * Asks an authorization server for a token (RFC 6749, 4.4), over the same guarded connections as everything else.
 * @throws TokenUnavailable
 */
export async function fetchToken({ config, agents, identity }: TokenEndpointOptions): Promise<AccessToken> {
  const { tokenUrl, clientId, clientSecret, clientAuthentication, scope, parameters } = config;
  // The library requires an issuer, but compares it only in answers that name one, which client credentials do not.
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const client = { client_id: clientId };
  let answer = '';
  const authenticate = (clientAuthentication === 'basic' ? httpBasic : ClientSecretPost)(clientSecret);
  try {
    const response = await clientCredentialsGrantRequest(
      server,
      client,
      authenticate,
      { ...parameters, ...(scope === undefined ? {} : { scope }) },
      {
        [customFetch]: async (url, { headers, body }) => {
          const response = await post(agents, identity, new URL(url), headers, body.toString());
          answer = await response.clone().text();
          return response;
        },
        // Whether plain http is allowed is decided by the network policy, as for any other request.
        [allowInsecureRequests]: true,
      },
    );
    const {
      access_token: value,
      token_type: type,
      expires_in: seconds,
    } = await processClientCredentialsResponse(server, client, response);
    if (type !== 'bearer' || !isUsable(value)) throw new TokenUnavailable(INVALID_TOKEN);
    return { value, ...(seconds === undefined ? {} : { endsAtMs: Date.now() + seconds * 1000 }) };
  } catch (error) {
    const reason = reasonOf(error);
    throw new TokenUnavailable(reason === INVALID_TOKEN ? `${reason}: ${whyInvalid(answer)}` : reason);
  }
}

function isUsable(token: string): boolean {
  return token.length <= TOKEN_LENGTH && TOKEN.test(token);
}

/** Why an answer is invalid, for people. The text quotes nothing of the answer. */
function whyInvalid(answer: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer);
  } catch {
    return 'the answer is not JSON';
  }
  const { access_token: token, token_type: type }: Record<string, unknown> = isRecord(parsed) ? parsed : {};
  if (typeof token !== 'string' || token === '') return 'it has no access_token that is text';
  if (typeof type !== 'string') return 'it has no token_type';
  if (type.toLowerCase() !== 'bearer') return 'its token_type is not "Bearer"';
  if (token.length > TOKEN_LENGTH) return `its access_token has more than ${TOKEN_LENGTH} characters`;
  return isUsable(token) ? 'its expires_in is not a number of seconds' : 'its access_token cannot be in a header';
}

/**
 * HTTP Basic according to RFC 6749, 2.3.1. Only characters that form encoding must change are encoded, which leaves most ids and secrets unchanged:
 * some servers compare them without decoding.
 */
function httpBasic(clientSecret: string): ClientAuth {
  return (_server, { client_id: id }, _body, headers) => {
    const credentials = [id, clientSecret]
      .map((part) => new URLSearchParams([['', part]]).toString().slice(1))
      .join(':');
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
  };
}

/** Redirects are not followed and answers are not decompressed: undici's `request` does neither. */
async function post(
  agents: GuardedAgents,
  identity: ClientIdentity | undefined,
  url: URL,
  headers: Record<string, string>,
  body: string,
): Promise<Response> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const path = url.pathname + url.search;
  const answer = await agents.request({ origin: url.origin, path, method: 'POST', headers, body, signal }, identity);
  const bytes = await wholeBody(answer.body as AsyncIterable<Buffer>, MAX_ANSWER_BYTES);
  if (bytes === undefined) throw new TokenUnavailable(ATTEMPT_CODES.answerTooLong);
  const type = [answer.headers['content-type']].flat()[0] ?? '';
  // `Response` throws for a body with status 204, 205 or 304; those contain no token anyway.
  const hasBody = bytes.length > 0 && ![204, 205, 304].includes(answer.statusCode);
  return new Response(hasBody ? usedParts(bytes.toString('utf8')) : null, {
    status: answer.statusCode,
    headers: { 'content-type': type },
  });
}

/** Keeps only the parts of an answer that are used. Others (`"refresh_token": null`, an ID token) could make the library reject a valid token. */
function usedParts(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed)) return text;
    const { access_token, token_type, expires_in, error } = parsed;
    return JSON.stringify({ access_token, token_type, expires_in: expires_in ?? undefined, error });
  } catch {
    return text; // The library reports that it is not JSON.
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof TokenUnavailable) return error.reason;
  if (error instanceof ResponseBodyError) return OAUTH_ERRORS.test(error.error) ? error.error : `HTTP ${error.status}`;
  const { cause, code, name } = error as { cause?: unknown; code?: unknown; name?: unknown };
  if (cause instanceof Response && cause.status !== 200) return `HTTP ${cause.status}`;
  // A timeout of the signal has a number as its code.
  if (name === 'TimeoutError') return ATTEMPT_CODES.timeout;
  if (typeof code !== 'string') return String(name);
  return code.startsWith('OAUTH_') ? INVALID_TOKEN : code;
}

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
 * A token is used for at least this long, whatever lifetime its server states, unless an endpoint refuses it. Some servers state zero, and would be
 * asked again for every slice.
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
 * The access tokens of one authorization (RFC 6749, client credentials). One token is kept at a time, until shortly before it expires. All callers
 * that wait for a token share one fetch. When an endpoint refuses the token, another one is fetched.
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

  /**
   * Returns a token to try instead of this one, which an endpoint refused (401). Undefined: there is no reason to expect that another one would be
   * accepted.
   */
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

  /** A time in the future does not count. It means that the clock has been set back, and the pause would last until the clock has caught up. */
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
