import { expect, test } from '@jest/globals';
import { ATTEMPT_CODES, failureInWords } from '../../src/domain/attempt-codes.ts';

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
