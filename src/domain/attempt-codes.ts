/**
 * Codes of attempts that failed for other reasons than an answer. What goes wrong with a request itself keeps the code that Node or undici
 * gave it (`ECONNREFUSED`, `ENOTFOUND`, `UND_ERR_SOCKET`, `DEPTH_ZERO_SELF_SIGNED_CERT` …).
 */
export const ATTEMPT_CODES = {
  /** The request was still open at its deadline. */
  timeout: 'REQUEST_TIMEOUT',
  /** The endpoint sent more than an answer needs, without a status. */
  answerTooLong: 'ANSWER_TOO_LONG',
  /** The source could not be asked for profiles; no request was made. */
  sourceUnavailable: 'SOURCE_UNAVAILABLE',
  /** The source does not know the person (yet); no request was made. */
  profileMissing: 'PROFILE_MISSING',
  /** This worker has no authorization of that name; no request was made. */
  authorizationUnknown: 'AUTHORIZATION_UNKNOWN',
  /** The authorization may not be sent to the URL's origin; no request was made. */
  authorizationElsewhere: 'AUTHORIZATION_ELSEWHERE',
  /** The authorization's token endpoint gave no access token; no request was made. */
  tokenUnavailable: 'TOKEN_UNAVAILABLE',
  /** This worker may not connect to the URL, or to the address of its host name; no request was made. */
  addressRefused: 'ADDRESS_REFUSED',
  /** The configured proxy did not open a connection; no request was made. */
  proxyFailed: 'PROXY_FAILED',
  /** The proxy could not reach the endpoint's host. */
  unreachedByProxy: 'PROXY_UNREACHED_HOST',
  /** The body could not be made; no request was made. */
  payloadImpossible: 'PAYLOAD_IMPOSSIBLE',
  /** The body has more bytes than are sent; no request was made. */
  payloadTooLarge: 'PAYLOAD_TOO_LARGE',
  /** Given up before the end of its schedule, to make room: too many people's triggers were failing. */
  givenUpEarly: 'GIVEN_UP_EARLY',
} as const;

/** What people read instead of a code: what happened, to follow "it failed: …". */
const WORDS: Readonly<Record<string, string>> = {
  [ATTEMPT_CODES.timeout]: 'no answer in time',
  [ATTEMPT_CODES.answerTooLong]: 'the answer never ended',
  [ATTEMPT_CODES.sourceUnavailable]: 'the audience source could not be read',
  [ATTEMPT_CODES.profileMissing]: 'the audience source does not know the person (yet)',
  [ATTEMPT_CODES.authorizationUnknown]: 'the worker has no authorization of that name',
  [ATTEMPT_CODES.authorizationElsewhere]: 'the authorization may not be sent to this address',
  [ATTEMPT_CODES.tokenUnavailable]: 'the authorization server gave no access token',
  [ATTEMPT_CODES.addressRefused]: 'the worker may not connect to this address',
  [ATTEMPT_CODES.proxyFailed]: 'the proxy did not open a connection',
  [ATTEMPT_CODES.unreachedByProxy]: 'the proxy could not reach the host',
  [ATTEMPT_CODES.payloadImpossible]: 'the trigger could not be made into a message',
  [ATTEMPT_CODES.payloadTooLarge]: 'the message is too large to be sent',
  [ATTEMPT_CODES.givenUpEarly]: 'given up early (too many people had failing triggers)',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut off',
  EPIPE: 'the connection was cut off',
  UND_ERR_SOCKET: 'the connection was cut off',
  ETIMEDOUT: 'no connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the host name could not be looked up',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another host name',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is not signed by a known authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not signed by a known authority',
  UNABLE_TO_GET_ISSUER_CERT: 'the certificate is not signed by a known authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is not signed by a known authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not signed by a known authority',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the endpoint wants a client certificate',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the endpoint does not take the client certificate',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'the endpoint does not take the client certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'the endpoint does not take the client certificate',
};

/** The result of a failed attempt, in words: `HTTP 503`, `connection refused`; a code without words is given as it is. */
export function failureInWords({ status, code }: { readonly status?: number; readonly code?: string }): string {
  if (status !== undefined) return `HTTP ${status}`;
  return code === undefined ? 'no answer' : (WORDS[code] ?? code);
}
