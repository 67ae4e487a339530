import { expect, test } from '@jest/globals';
import { ATTEMPT_CODES, failureInWords, judge, verdictOf } from '../../src/domain/verdict.ts';
import type { Verdict } from '../../src/contract/verdict.ts';

test('every code of ours has words', () => {
  for (const code of Object.values(ATTEMPT_CODES)) expect(failureInWords({ code })).toMatch(/^[a-z ()]+$/);
});

test.each([
  [{ status: 503 }, 'HTTP 503'],
  [{ status: 503, code: 'ECONNRESET' }, 'HTTP 503'],
  [{ code: 'ECONNREFUSED' }, 'connection refused'],
  [{ code: 'SOMETHING_NEW' }, 'SOMETHING_NEW'],
  [{}, 'no answer'],
])('%j is said as "%s"', (failure, words) => {
  expect(failureInWords(failure)).toBe(words);
});

const statuses: [verdict: Verdict, statuses: number[]][] = [
  ['transient', [408, 425, 500, 501, 502, 503, 504, 507, 599, 999]],
  ['misconfigured', [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 407]],
  ['throttled', [429]],
  ['endpoint-gone', [410]],
  ['refused', [400, 402, 406, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 424, 426, 428, 431, 451, 499]],
];

test.each(statuses.flatMap(([verdict, list]) => list.map((status) => [status, verdict] as const)))(
  'an answer of %i is %s',
  (status, verdict) => {
    expect(judge({ status })).toBe(verdict);
  },
);

test('503 is throttled only when it asks to wait, and no time is no wait', () => {
  expect(judge({ status: 503, retryAfterMs: 1 })).toBe('throttled');
  expect(judge({ status: 503, retryAfterMs: 0 })).toBe('transient');
  expect(judge({ status: 503 })).toBe('transient');
});

test.each([500, 404, 400, 410])('a Retry-After of %i changes nothing', (status) => {
  expect(judge({ status, retryAfterMs: 1000 })).toBe(judge({ status }));
});

test.each<[status: number, verdict: string]>([
  [404, 'delivered'],
  [405, 'given-up'],
  [410, 'given-up'],
  [423, 'pausing'],
  [503, 'transient'],
  [202, 'transient'],
  [200, 'delivered'],
  [301, 'misconfigured'],
])('where a job says what answers mean, a status counts before its class, and %i is %s', (status, verdict) => {
  const answers = { '4xx': 'dead-letter', '404': 'delivered', '423': 'pause', '5xx': 'retry', '202': 'retry' } as const;
  expect(verdictOf({ ok: status < 300, status, retryAfterMs: 1 }, answers)).toBe(verdict);
});

test('a verdict made with the attempt holds, and "answers" do not apply where there was no answer', () => {
  expect(judge({ status: 404, as: 'given-up' })).toBe('given-up');
  expect(verdictOf({ ok: false, code: 'ECONNREFUSED' }, { '5xx': 'pause' })).toBe('transient');
});

test('the status decides, whatever code stands beside it', () => {
  expect(judge({ status: 400, code: 'ECONNRESET' })).toBe('refused');
});

test.each<[string | undefined, Verdict]>([
  ['ECONNREFUSED', 'transient'],
  ['ECONNRESET', 'transient'],
  ['EPIPE', 'transient'],
  ['UND_ERR_SOCKET', 'transient'],
  ['REQUEST_TIMEOUT', 'transient'],
  ['UNKNOWN', 'transient'],
  [undefined, 'transient'],
  ['EAI_AGAIN', 'transient'],
  ['ENOTFOUND', 'misconfigured'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'misconfigured'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'misconfigured'],
  ['CERT_HAS_EXPIRED', 'misconfigured'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'misconfigured'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'misconfigured'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'misconfigured'],
  ['SOURCE_UNAVAILABLE', 'source'],
  ['PROFILE_MISSING', 'profile-missing'],
  ['AUTHORIZATION_UNKNOWN', 'worker-fault'],
  ['AUTHORIZATION_ELSEWHERE', 'worker-fault'],
  ['PAYLOAD_IMPOSSIBLE', 'unsendable'],
  ['PAYLOAD_TOO_LARGE', 'unsendable'],
  ['ANSWER_TOO_LONG', 'transient'],
])('without an answer, %s is %s', (code, verdict) => {
  expect(judge(code === undefined ? {} : { code })).toBe(verdict);
});
