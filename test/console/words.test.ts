import { execFileSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { curlOf } from '../../src/console/words.ts';
import { shellWord } from '../../src/words/text.ts';

/** The words that a shell makes of a line. */
function wordsIn(line: string): string[] {
  return execFileSync('bash', ['-c', `printf '%s\\0' ${line}`], {
    encoding: 'utf8',
    env: { LC_ALL: 'C.UTF-8' },
  })
    .split('\0')
    .slice(0, -1);
}

test.each([
  'plain-1',
  'two words',
  "it's",
  '$HOME `id` "x" \\n',
  '',
  'line\nline',
  'tab\tand \u001B[31m',
  "\u202E'\\ü",
])('a shell reads a word as it was: %j', (word) => {
  expect(wordsIn(shellWord(word))).toEqual([word]);
});

test('nothing in a word reaches the terminal that it is pasted into', () => {
  expect(shellWord('a\u001B[201~\nrm -rf b')).toMatch(/^[ -~]+$/);
});

test('a request becomes a command for curl, with … where a secret was', () => {
  const request = {
    method: 'PUT',
    url: 'https://crm.example.com/…?list[id]=…',
    headers: [
      ['content-type', 'application/json'],
      ['authorization', 'Bearer …'],
    ],
    body: `{"name":"O'Hara"}`,
    bodyBytes: 17,
  } as const;
  expect(wordsIn(curlOf(request))).toEqual([
    'curl',
    '--globoff',
    '--request',
    'PUT',
    'https://crm.example.com/…?list[id]=…',
    '--header',
    'content-type: application/json',
    '--header',
    'authorization: Bearer …',
    '--data-raw',
    `{"name":"O'Hara"}`,
  ]);
  expect(curlOf({ ...request, body: '' })).not.toContain('data');
});
