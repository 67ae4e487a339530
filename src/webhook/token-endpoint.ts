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

/**
 * No token was issued. `reason` is an error code of RFC 6749 (`invalid_client`), an HTTP status, or a code of Node, undici or ours, never text that
 * the server wrote.
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
const TOKEN = /^[\x20-\x7e]{1,8192}$/;
/** The reason when a server answered with success, but without a token that we can use. */
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
  const authenticate = (clientAuthentication === 'basic' ? httpBasic : ClientSecretPost)(clientSecret);
  try {
    const response = await clientCredentialsGrantRequest(
      server,
      client,
      authenticate,
      { ...parameters, ...(scope === undefined ? {} : { scope }) },
      {
        [customFetch]: (url, { headers, body }) => post(agents, identity, new URL(url), headers, body.toString()),
        // Whether plain http is allowed is decided by the network policy, as for any other request.
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
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new TokenUnavailable(ATTEMPT_CODES.answerTooLong);
    chunks.push(chunk);
  }
  const type = [answer.headers['content-type']].flat()[0] ?? '';
  // `Response` throws for a body with status 204, 205 or 304; those contain no token anyway.
  const hasBody = length > 0 && ![204, 205, 304].includes(answer.statusCode);
  return new Response(hasBody ? usedParts(Buffer.concat(chunks).toString('utf8')) : null, {
    status: answer.statusCode,
    headers: { 'content-type': type },
  });
}

/** Only the parts of an answer that are used, so that others (`"refresh_token": null`, an ID token) do not make the library reject a valid token. */
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
