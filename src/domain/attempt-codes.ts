/**
 * Codes of attempts that came to nothing without the endpoint's doing. What a request itself runs into keeps the code that Node or
 * undici gave it (`ECONNREFUSED`, `ENOTFOUND`, `UND_ERR_SOCKET`, `DEPTH_ZERO_SELF_SIGNED_CERT` …).
 */
export const ATTEMPT_CODES = {
  /** The request was still open at its deadline. */
  timeout: 'REQUEST_TIMEOUT',
  /** The source could not be asked for profiles; no request was made. */
  sourceUnavailable: 'SOURCE_UNAVAILABLE',
  /** The source does not know the person (yet); no request was made. */
  profileMissing: 'PROFILE_MISSING',
  /** This worker has no authorization of that name; no request was made. */
  authorizationUnknown: 'AUTHORIZATION_UNKNOWN',
  /** The authorization may not be sent to the URL's origin; no request was made. */
  authorizationElsewhere: 'AUTHORIZATION_ELSEWHERE',
  /** The body could not be made; no request was made. */
  payloadImpossible: 'PAYLOAD_IMPOSSIBLE',
} as const;
