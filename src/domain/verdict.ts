import type { AnswerMeaning, Answers, DecidedVerdict } from '../contract/answers.ts';
import type { AttemptVerdict, Verdict } from '../contract/verdict.ts';

const DECIDED: Readonly<Record<AnswerMeaning, DecidedVerdict | 'delivered'>> = {
  delivered: 'delivered',
  retry: 'transient',
  'dead-letter': 'given-up',
  pause: 'pausing',
};

/** Whether a report says this of an answer. */
export function isDecidedVerdict(value: unknown): value is DecidedVerdict {
  return value !== 'delivered' && Object.values(DECIDED).some((one) => one === value);
}

/** Failures of different people, with no success between: a row that is long enough shows that the endpoint as a whole is unhealthy. */
export type FailureRow = 'failed' | 'refused';

/** A row of this length ends its slice. A job's breaker opens at as many failed people, and at far more refused ones (`job/throttles/breaker.ts`). */
export const ROW_LIMITS: Readonly<Record<FailureRow, number>> = { failed: 3, refused: 10 };

/** Whether a report says this of an attempt. */
export function isVerdict(value: unknown): value is Verdict {
  return typeof value === 'string' && Object.hasOwn(VERDICTS, value);
}

/** The properties of a verdict. Its effect on the trigger is in `job/settling.ts`. */
interface VerdictMeaning {
  /** Whether a request was really made, as far as that is known. */
  readonly wasRequested: boolean;
  /** The row that it lengthens; null: it does not show whether the endpoint is healthy. */
  readonly row: FailureRow | null;
  /** The request of the endpoint, about all people: to wait, never to call again, or to pause. Its slice ends at once. */
  readonly asksTo: 'wait' | 'end' | 'pause' | null;
  /** Whether a wrongly configured endpoint gives it: people are advised to check its URL and authorization. */
  readonly isSetup: boolean;
  /** Whether no request can be made for anybody. A job that may try only one person at a time then does not try the next. */
  readonly isOfEverybody: boolean;
  /** Whether it is shown as the job's last failure. */
  readonly isShown: boolean;
}

const NOT_REQUESTED = {
  wasRequested: false,
  row: null,
  asksTo: null,
  isSetup: false,
  isOfEverybody: false,
  isShown: true,
};
const REQUESTED = { ...NOT_REQUESTED, wasRequested: true };

/** A line for each verdict. Code that depends on a verdict uses this table, or a switch or record that the compiler checks for completeness. */
export const VERDICTS: Readonly<Record<Verdict, VerdictMeaning>> = {
  transient: { ...REQUESTED, row: 'failed' },
  misconfigured: { ...REQUESTED, row: 'failed', isSetup: true },
  throttled: { ...REQUESTED, asksTo: 'wait' },
  'endpoint-gone': { ...REQUESTED, asksTo: 'end' },
  pausing: { ...REQUESTED, asksTo: 'pause' },
  refused: { ...REQUESTED, row: 'refused' },
  // The job's `answers` say that this is about the trigger, not about the endpoint.
  'given-up': REQUESTED,
  unsendable: NOT_REQUESTED,
  source: { ...NOT_REQUESTED, isOfEverybody: true },
  // A profile that is not there yet is a failure of neither the endpoint nor the trigger.
  'profile-missing': { ...NOT_REQUESTED, isShown: false },
  // It is what the job is meant to do.
  skipped: { ...NOT_REQUESTED, isShown: false },
  'worker-fault': { ...NOT_REQUESTED, isOfEverybody: true },
};

/** Whether a request was really made, as far as that is known. A template that failed is judged like a refusal, but asked nobody. */
export function wasRequested({
  verdict,
  code,
}: {
  readonly verdict: Verdict;
  readonly code?: string | undefined;
}): boolean {
  return VERDICTS[verdict].wasRequested && code !== ATTEMPT_CODES.templateFailed;
}

/** How an attempt ended: see `FailedAttempt`. */
interface AttemptEnd {
  readonly status?: number;
  readonly code?: string;
  readonly retryAfterMs?: number;
}

/** Returns the verdict for a job with these `answers`: theirs, else whether it is a 2xx; see `judge`. */
export function verdictOf(attempt: AttemptEnd & { readonly ok: boolean }, answers?: Answers): AttemptVerdict {
  return decided(attempt.status, answers) ?? (attempt.ok ? 'delivered' : judge(attempt));
}

/** Returns the verdict of a job's `answers` on a status: a single status counts before its class; undefined: they do not say. */
function decided(status: number | undefined, answers: Answers | undefined): AttemptVerdict | undefined {
  if (status === undefined || answers === undefined) return undefined;
  const meaning = answers[String(status)] ?? answers[`${Math.floor(status / 100)}xx`];
  return meaning === undefined ? undefined : DECIDED[meaning];
}

/**
 * Judges an attempt: by the job's `answers` (`as`), else by the status, else by the code; never by a message text. A Retry-After of no
 * time, or with a date that has passed, asks for no wait.
 */
export function judge(attempt: AttemptEnd & { readonly as?: DecidedVerdict }): Verdict {
  if (attempt.as !== undefined) return attempt.as;
  if (attempt.status !== undefined) return judgeStatus(attempt.status, (attempt.retryAfterMs ?? 0) > 0);
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
    case ATTEMPT_CODES.requestNotMade:
    // The worker's machine ran out of something before there was a connection.
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
    case 'ENOMEM':
    case 'EADDRNOTAVAIL':
    case ATTEMPT_CODES.reportUnreadable:
      return 'worker-fault';
    case ATTEMPT_CODES.profileLost:
    case ATTEMPT_CODES.payloadImpossible:
    case ATTEMPT_CODES.payloadTooLarge:
      return 'unsendable';
    // A new endpoint whose template fails for everybody is wrongly configured, like one that refuses everybody.
    case ATTEMPT_CODES.templateFailed:
      return 'refused';
    case ATTEMPT_CODES.skipped:
      return 'skipped';
    default:
      return isSetupCode(attempt.code ?? '') ? 'misconfigured' : 'transient';
  }
}

function judgeStatus(status: number, asksToWait: boolean): Verdict {
  if (status === 429) return 'throttled';
  if (status === 503 && asksToWait) return 'throttled';
  if (status === 410) return 'endpoint-gone';
  if (status === 408 || status === 425 || status >= 500 || status < 300) return 'transient';
  if (status < 400) return 'misconfigured'; // Redirects are never followed (CloudEvents webhook spec; the target was not checked).
  if (status === 401 || status === 403 || status === 404 || status === 405 || status === 407) return 'misconfigured';
  return 'refused';
}

// A name that does not exist, and everything that TLS can find wrong with the other side. EAI_AGAIN (the resolver did not answer) is a
// problem of the network, not of the configuration.
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

/**
 * Codes of attempts that failed for other reasons than an answer. Errors of a request itself keep the code of Node or undici
 * (`ECONNREFUSED`, `ENOTFOUND`, `UND_ERR_SOCKET`, `DEPTH_ZERO_SELF_SIGNED_CERT` …).
 */
export const ATTEMPT_CODES = {
  /** The request was still open at its deadline. */
  timeout: 'REQUEST_TIMEOUT',
  /** The endpoint sent more than an answer needs, without a status. */
  answerTooLong: 'ANSWER_TOO_LONG',
  /** The endpoint's answer is not valid HTTP. */
  answerMalformed: 'ANSWER_MALFORMED',
  /** The source could not be asked for profiles; no request was made. */
  sourceUnavailable: 'SOURCE_UNAVAILABLE',
  /** The source does not know the person (yet); no request was made. */
  profileMissing: 'PROFILE_MISSING',
  /** The profile that came with the trigger is gone from Temporal; no request was made. */
  profileLost: 'PROFILE_LOST',
  /** This worker has no authorization of that name; no request was made. */
  authorizationUnknown: 'AUTHORIZATION_UNKNOWN',
  /** The authorization may not be sent to the URL, or by the job; no request was made. */
  authorizationElsewhere: 'AUTHORIZATION_ELSEWHERE',
  /** The authorization's token endpoint gave no access token; no request was made. */
  tokenUnavailable: 'TOKEN_UNAVAILABLE',
  /** This worker may not connect to the URL, or to the address of its host name; no request was made. */
  addressRefused: 'ADDRESS_REFUSED',
  /** The configured proxy did not open a connection; no request was made. */
  proxyFailed: 'PROXY_FAILED',
  /** The proxy could not reach the endpoint's host. */
  unreachedByProxy: 'PROXY_UNREACHED_HOST',
  /** Something went wrong inside this worker before the request began; no request was made. */
  requestNotMade: 'REQUEST_NOT_MADE',
  /** Something went wrong inside this worker after the request had begun; its outcome is unknown. */
  workerFault: 'WORKER_FAULT',
  /** The body could not be made; no request was made. */
  payloadImpossible: 'PAYLOAD_IMPOSSIBLE',
  /** The body has more bytes than are sent; no request was made. */
  payloadTooLarge: 'PAYLOAD_TOO_LARGE',
  /** A template of the job could not be rendered for this person; no request was made. */
  templateFailed: 'TEMPLATE_FAILED',
  /** A template of the job says that nothing is to be sent about this person; no request was made. */
  skipped: 'SKIPPED',
  /** Given up before the end of its schedule, to make room: too many people's triggers were failing. */
  givenUpEarly: 'GIVEN_UP_EARLY',
  /** A worker of another build reported something that this one cannot read; whether a request was made is not known. */
  reportUnreadable: 'REPORT_UNREADABLE',
} as const;

/** The words that people read instead of a code, to follow "it failed: …". */
const WORDS: Readonly<Record<string, string>> = {
  [ATTEMPT_CODES.timeout]: 'no answer in time',
  [ATTEMPT_CODES.answerTooLong]: 'the answer never ended',
  [ATTEMPT_CODES.answerMalformed]: 'the answer could not be understood',
  [ATTEMPT_CODES.sourceUnavailable]: 'the audience source could not be read',
  [ATTEMPT_CODES.profileMissing]: 'the audience source does not know the person (yet)',
  [ATTEMPT_CODES.profileLost]: 'the profile that came with the trigger is gone',
  [ATTEMPT_CODES.authorizationUnknown]: 'the worker has no authorization of that name',
  [ATTEMPT_CODES.authorizationElsewhere]: 'the authorization may not be sent there by this job',
  [ATTEMPT_CODES.tokenUnavailable]: 'the authorization server gave no access token',
  [ATTEMPT_CODES.addressRefused]: 'the worker may not connect to this address',
  [ATTEMPT_CODES.proxyFailed]: 'the proxy did not open a connection',
  [ATTEMPT_CODES.unreachedByProxy]: 'the proxy could not reach the host',
  [ATTEMPT_CODES.requestNotMade]: 'the worker could not make a request (a fault of its own)',
  [ATTEMPT_CODES.workerFault]: 'a fault of the worker (not of the endpoint)',
  [ATTEMPT_CODES.payloadImpossible]: 'the trigger could not be made into a message',
  [ATTEMPT_CODES.payloadTooLarge]: 'the message is too large to be sent',
  [ATTEMPT_CODES.templateFailed]: 'a template of the job could not be rendered',
  [ATTEMPT_CODES.skipped]: 'skipped by a template of the job',
  [ATTEMPT_CODES.givenUpEarly]: 'given up early (too many people had failing triggers)',
  EMFILE: 'the worker has too many files and connections open',
  ENFILE: 'the machine of the worker has too many files and connections open',
  ENOBUFS: 'the machine of the worker has no memory for another connection',
  ENOMEM: 'the machine of the worker has no memory for another connection',
  EADDRNOTAVAIL: 'the machine of the worker has no address or port for another connection',
  [ATTEMPT_CODES.reportUnreadable]: 'the worker failed or sent an unreadable report',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut off',
  EPIPE: 'the connection was cut off',
  UND_ERR_SOCKET: 'the connection was cut off',
  UND_ERR_HEADERS_OVERFLOW: 'the answer has more than 16 KiB of headers',
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
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'the endpoint does not speak HTTP/1.1',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the endpoint wants a client certificate',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the endpoint does not take the client certificate',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'the endpoint does not take the client certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'the endpoint does not take the client certificate',
};

/** Whether these are the words for a failure of a code that has words. */
export function isFailureInWords(text: string): boolean {
  return text === NO_ANSWER || Object.values(WORDS).includes(text);
}

const NO_ANSWER = 'no answer';

/** The result of a failed attempt, in words: `HTTP 503`, `connection refused`; a code without words is given as it is. */
export function failureInWords({ status, code }: { readonly status?: number; readonly code?: string }): string {
  if (status !== undefined) return `HTTP ${status}`;
  return code === undefined ? NO_ANSWER : (WORDS[code] ?? code);
}
