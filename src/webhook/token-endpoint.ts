import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretPost,
  clientCredentialsGrantRequest,
  customFetch,
  processClientCredentialsResponse,
  ResponseBodyError,
} from 'oauth4webapi';
import type { OAuth2Config } from '../config/authorization-config.ts';
import { ATTEMPT_CODES } from '../domain/attempt-codes.ts';
import { isRecord } from '../domain/json.ts';
import type { AccessToken } from './access-tokens.ts';
import type { ClientIdentity } from './client-identity.ts';
import type { GuardedAgents } from './guarded-agents.ts';

/** No token was given. Its reason is a code of RFC 6749 (`invalid_client`), a status, or a code of Node's, undici's or ours, never what the server wrote. */
export class TokenUnavailable extends Error {
  override readonly name = 'TokenUnavailable';
  readonly reason: string;

  constructor(reason: string) {
    super(`The authorization server gave no access token: ${reason}.`);
    this.reason = reason;
  }
}

/** Longest time, in ms, for a token: less than a slice may take before it sends. */
const TIMEOUT_MS = 4_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** The codes of RFC 6749, 5.2; anything else is the server's own words. */
const OAUTH_ERRORS =
  /^(invalid_request|invalid_client|invalid_grant|unauthorized_client|unsupported_grant_type|invalid_scope)$/;

/** What a token consists of (RFC 6749, A.12), of which a header holds so much. Another one would be a failure of the endpoint's, trigger by trigger. */
const TOKEN = /^[\x20-\x7e]{1,8192}$/;
/** The reason when a server answered as if it gave a token, and none is there that we know how to use. */
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
  // The issuer is for answers that name it; of client credentials none does.
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const client = { client_id: clientId };
  const authenticate = (clientAuthentication === 'basic' ? httpBasic : ClientSecretPost)(clientSecret);
  try {
    const response = await clientCredentialsGrantRequest(
      server,
      client,
      authenticate,
      { ...parameters, ...(scope === undefined ? {} : { scope }) },
      {
        [customFetch]: (url, { headers, body }) => post(agents, identity, new URL(url), headers, body.toString()),
        // Whether it may be plain http is the network policy's to say, for this request as for any other.
        [allowInsecureRequests]: true,
      },
    );
    const {
      access_token: value,
      token_type: type,
      expires_in: seconds,
    } = await processClientCredentialsResponse(server, client, response);
    if (type !== 'bearer' || !TOKEN.test(value)) throw new TokenUnavailable(INVALID_TOKEN);
    return { value, ...(seconds === undefined ? {} : { endsAtMs: Date.now() + seconds * 1000 }) };
  } catch (error) {
    throw new TokenUnavailable(reasonOf(error));
  }
}

/**
 * RFC 6749, 2.3.1. Of an id or a secret only what the encoding of forms changes is changed, and nothing of most: there are servers that compare it as
 * it comes.
 */
function httpBasic(clientSecret: string): ClientAuth {
  return (_server, { client_id: id }, _body, headers) => {
    const credentials = [id, clientSecret]
      .map((part) => new URLSearchParams([['', part]]).toString().slice(1))
      .join(':');
    headers.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
  };
}

/** No redirect is followed and nothing is inflated: undici's `request` does neither. */
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
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new TokenUnavailable(ATTEMPT_CODES.answerTooLong);
    chunks.push(chunk);
  }
  const type = [answer.headers['content-type']].flat()[0] ?? '';
  // A Response refuses a body under 204, 205 and 304; none of them has a token.
  const hasBody = length > 0 && ![204, 205, 304].includes(answer.statusCode);
  return new Response(hasBody ? usedParts(Buffer.concat(chunks).toString('utf8')) : null, {
    status: answer.statusCode,
    headers: { 'content-type': type },
  });
}

/** Of an answer what is used. What else a server writes, `"refresh_token": null` or an ID token, does not make a good token a bad one. */
function usedParts(text: string): string {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isRecord(parsed)) return text;
    const { access_token, token_type, expires_in, error } = parsed;
    return JSON.stringify({ access_token, token_type, expires_in: expires_in ?? undefined, error });
  } catch {
    return text; // What is no JSON is said to be none where it is judged.
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof TokenUnavailable) return error.reason;
  if (error instanceof ResponseBodyError) return OAUTH_ERRORS.test(error.error) ? error.error : `HTTP ${error.status}`;
  const { cause, code, name } = error as { cause?: unknown; code?: unknown; name?: unknown };
  if (cause instanceof Response && cause.status !== 200) return `HTTP ${cause.status}`;
  // The signal's own error has a number for a code.
  if (name === 'TimeoutError') return ATTEMPT_CODES.timeout;
  if (typeof code !== 'string') return String(name);
  return code.startsWith('OAUTH_') ? INVALID_TOKEN : code;
}
