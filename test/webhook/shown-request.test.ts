import { expect, test } from '@jest/globals';
import { shownAnswer } from '../../src/webhook/shown-request.ts';
import { secretsIn } from '../../src/webhook/without-secrets.ts';

const url = new URL('https://hooks.example.com/services/T0k3nT0k3nT0k3n?key=abcdef123');

test('[S48] an answer is kept without secrets that it repeats, in its body and in its headers', () => {
  const answer = {
    headers: [
      ['content-type', 'text/html'],
      ['set-cookie', 'session=1'],
      ['location', 'https://other.example.com/login?token=2'],
      ['server', 'Bearer s3cr3t-of-ours'],
      ['x-auth-token', 'abc'],
      ['x-request-id', 'v1,c2lnbmF0dXJl'],
      ['via', 'a\u001b[31mb'],
    ] as const,
    body: 'no such hook: /services/T0k3nT0k3nT0k3n?key=abcdef123, Bearer s3cr3t-of-ours, czNjcjN0LW9mLW91cnM=, v1,c2lnbmF0dXJl',
  };
  const shown = shownAnswer(answer, ['Bearer s3cr3t-of-ours'], secretsIn(url), 'v1,c2lnbmF0dXJl');
  expect(JSON.stringify(shown)).not.toMatch(/session=1|token=2|s3cr3t|T0k3n|abcdef123|czNjcjN0|abc|c2ln/);
  expect(shown.headers.at(-1)?.[1]).toBe(String.raw`a\u001b[31mb`);
  expect(shown.headers.map(([name]) => name)).toEqual([
    'content-type',
    'set-cookie',
    'location',
    'server',
    'x-auth-token',
    'x-request-id',
    'via',
  ]);
  expect(shown.headers[0]).toEqual(['content-type', 'text/html']);
});

test('headers of an answer take 4 KiB at most', () => {
  const headers = Array.from({ length: 100 }, (_, n) => [`x-${n}`, 'a'.repeat(100)] as const);
  expect(shownAnswer({ headers, body: '' }, [], []).headers.length).toBeLessThan(40);
});
