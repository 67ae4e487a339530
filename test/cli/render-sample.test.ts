import { expect, test } from '@jest/globals';
import { answerLines, requestLines, tableLines, testedText } from '../../src/cli/render-sample.ts';
import { indentedJson } from '../../src/domain/indented-json.ts';
import { meaningOf } from '../../src/domain/sample-meaning.ts';
import { plain } from '../../src/cli/terminal.ts';
import type { Sample } from '../../src/contract/sample.ts';

const body = '{"name":"a\u009Bb"}';
const sample: Sample = {
  user: '1',
  audience: { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
  event: 'enter',
  request: { method: 'POST', url: 'https://a.example/…', headers: [['x-a', '…']], body, bodyBytes: 1_000_014 },
};

test('a body is printed byte for byte where a program reads it, and cannot control a terminal', () => {
  expect(requestLines(sample, { interactive: false, paint: plain })[3]).toBe(body);
  const shown = requestLines(sample, { interactive: true, paint: plain }).slice(3, -1).join('\n');
  expect(shown).not.toContain('\u009B');
  expect(JSON.parse(shown)).toEqual(JSON.parse(body));
});

test('on a terminal a body is indented, with every number and text as it is written', () => {
  const written = '{"id":"1","n":12345678901234567890.10,"none":{},"no":[],"list":[true,{"a":"x,{\\"y\\"]: "}]}';
  expect(indentedJson(written)).toEqual([
    '{',
    '  "id": "1",',
    '  "n": 12345678901234567890.10,',
    '  "none": {},',
    '  "no": [],',
    '  "list": [',
    '    true,',
    '    {',
    '      "a": "x,{\\"y\\"]: "',
    '    }',
    '  ]',
    '}',
  ]);
  expect(indentedJson('{"text":"cut in the mid')).toEqual(['{', '  "text": "cut in the mid']);
});

test('a body that was cut says how much there is yet', () => {
  expect(requestLines(sample, { interactive: false, paint: plain }).at(-1)).toBe('… and 999,999 more bytes');
});

test('an answer says what came, how long it took, what was asked, and what it would mean', () => {
  const answer = {
    ok: false,
    status: 429,
    verdict: 'throttled' as const,
    retryAfterMs: 90_000,
    durationMs: 1234,
    answer: 'slow\u001Bdown',
    isSecond: false,
  };
  expect(answerLines({ answer }).join('\n')).toBe(
    [
      '  Answer        HTTP 429',
      String.raw`  It said       slow\u001bdown`,
      '  Wait          90 s, according to Retry-After',
      '  Took          1,234 ms, including connecting',
      '  Verdict       The endpoint asks to wait. A job would wait that long with all',
      '                its triggers; no attempt is counted.',
    ].join('\n'),
  );
});

test('where no request was made, that is said', () => {
  const answer = {
    ok: false,
    code: 'ADDRESS_REFUSED',
    verdict: 'worker-fault' as const,
    durationMs: 0,
    isSecond: false,
  };
  expect(answerLines({ answer })[0]).toContain('the worker may not connect to this address');
  expect(meaningOf(answer)).toContain('The request was not made');
});

test('a message that never reached the endpoint was tried, not sent', () => {
  const answer = { ok: false, verdict: 'transient' as const, durationMs: 1, isSecond: false };
  const testedBy = (more: object): string => testedText({ ...sample, answer: { ...answer, ...more } });
  expect(testedBy({ status: 503 })).toBe('1 enters vip. It was sent once, as a test.');
  expect(testedBy({ code: 'ENOTFOUND' })).toBe('1 enters vip. It was tried once, as a test.');
});

test('what a refusal means depends on whether the endpoint ever took anything, and that is said', () => {
  const meaning = meaningOf({ verdict: 'refused' });
  expect(meaning).toMatch(/a dead letter at once.*has accepted nothing at all/);
});

test('how often a job would send it again, and for how long, is said by how long it tries', () => {
  const answer = { ok: false, status: 500, verdict: 'transient' as const, durationMs: 1, isSecond: false };
  const again = (times: string) =>
    `The endpoint is unhealthy. A job would send it again ${times}, then make it a dead letter.`;
  expect(meaningOf(answer)).toBe(again('9 times over 28 h'));
  expect(meaningOf(answer, { retryFor: '1h' })).toBe(again('6 times over 60 min'));
  expect(answerLines({ answer, retryFor: '7d' }).join(' ').replaceAll(/ +/g, ' ')).toContain('23 times over 7 days');
  expect(tableLines({ ...sample, retryFor: '2d' })).toContain('  Tried again   408, 425, 5xx; for 2d');
});

test('what answers mean is shown by statuses, and a class for the rest of its own', () => {
  expect(tableLines(sample)).toEqual([
    'What its answers mean',
    '  Delivered     2xx',
    '  Tried again   408, 425, 5xx',
    '  Set up wrong  3xx, 401, 403, 404, 405, 407; tried again',
    '  Waits         429, 503 with Retry-After',
    '  Pauses        410',
    '  Refused       other 4xx; a dead letter, unless the endpoint has accepted',
    '                nothing or refuses everybody',
  ]);
});

test('a meaning is the one that the worker says, where the job has answers of its own, and the table shows them', () => {
  expect(meaningOf({ verdict: 'delivered' })).toBe('A job would count it as delivered.');
  expect(meaningOf({ verdict: 'misconfigured' })).toMatch(/Only a person can fix this/);
  const lines = tableLines({ ...sample, answers: { '404': 'delivered', '5xx': 'dead-letter', '423': 'pause' } });
  expect(lines).toEqual(
    expect.arrayContaining(['  Delivered     2xx, 404', '  Pauses        410, 423', '  Dead letter   5xx']),
  );
});
