import type { FailedAttempt } from '../contract/slice.ts';
import { ATTEMPT_CODES } from './attempt-codes.ts';

/**
 * What an attempt that did not deliver means.
 *
 * - `transient`: the endpoint is unwell; the trigger's next attempt follows the retry schedule.
 * - `setup`: like transient, but a failure that only a person can put right (a wrong URL, an expired token).
 * - `throttled`: the endpoint asks for a pause; costs the trigger no attempt.
 * - `gone`: the endpoint asks never to be called again (410); the job pauses.
 * - `refused`: this payload will never be accepted.
 * - `unsendable`: no message can be made; no request was made, so nothing is known about the endpoint.
 * - `source`: no profile could be read; no request was made, so nothing is known about the endpoint.
 * - `profile-missing`: the source does not know the person (yet); no request was made.
 * - `ours`: this worker's configuration prevents sending; no request was made.
 */
export type Verdict =
  'transient' | 'setup' | 'throttled' | 'gone' | 'refused' | 'unsendable' | 'source' | 'profile-missing' | 'ours';

/** Verdicts of attempts for which a request was really made. */
const ASKED: ReadonlySet<Verdict> = new Set(['transient', 'setup', 'throttled', 'gone', 'refused']);

/** Whether a verdict is about an attempt for which a request was really made. */
export function wasAsked(verdict: Verdict): boolean {
  return ASKED.has(verdict);
}

/** Judges an attempt. Only the status, or the code where there is none, decides; never a message text. */
export function judge(attempt: Pick<FailedAttempt, 'status' | 'code' | 'retryAfterMs'>): Verdict {
  if (attempt.status !== undefined) return judgeStatus(attempt.status, attempt.retryAfterMs !== undefined);
  switch (attempt.code) {
    case ATTEMPT_CODES.sourceUnavailable:
      return 'source';
    case ATTEMPT_CODES.profileMissing:
      return 'profile-missing';
    case ATTEMPT_CODES.authorizationUnknown:
    case ATTEMPT_CODES.authorizationElsewhere:
    case ATTEMPT_CODES.tokenUnavailable:
    case ATTEMPT_CODES.addressRefused:
    case ATTEMPT_CODES.proxyFailed:
      return 'ours';
    case ATTEMPT_CODES.payloadImpossible:
    case ATTEMPT_CODES.payloadTooLarge:
      return 'unsendable';
    default:
      return isSetupCode(attempt.code ?? '') ? 'setup' : 'transient';
  }
}

function judgeStatus(status: number, asksToWait: boolean): Verdict {
  if (status === 429) return 'throttled';
  if (status === 503 && asksToWait) return 'throttled';
  if (status === 410) return 'gone';
  if (status === 408 || status === 425 || status >= 500 || status < 300) return 'transient';
  if (status < 400) return 'setup'; // Redirects are never followed (CloudEvents webhook spec; the target was not checked).
  if (status === 401 || status === 403 || status === 404 || status === 405 || status === 407) return 'setup';
  return 'refused';
}

// A name that does not exist, and everything that TLS can find wrong with the other side. EAI_AGAIN (the resolver did not answer) is a
// problem of the network, not of the set-up.
function isSetupCode(code: string): boolean {
  return (
    code === 'ENOTFOUND' || code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_') || CERTIFICATE_CODES.has(code)
  );
}

// X.509 verification codes of Node's TLS (nodejs.org/api/tls.html, "X509 certificate error codes").
const CERTIFICATE_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
