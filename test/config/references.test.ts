import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigError } from '../../src/config/config-error.ts';
import { withReferences } from '../../src/config/references.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'references-'));
  writeFileSync(join(folder, 'token'), 'from-file\r\n\n');
  writeFileSync(join(folder, 'two-lines'), 'one\ntwo\n');
  writeFileSync(join(folder, 'large'), 'x'.repeat(1024 * 1024 + 1));
  mkdirSync(join(folder, 'folder'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const resolved = (value: unknown) => withReferences(value, { env: { TOKEN: 'from-env', EMPTY: '' }, folder });

test('a reference is replaced in every string, and a reference in its value is not', () => {
  expect(
    resolved({ a: ['Bearer ${env:TOKEN}', { b: '${file:token}/${file:./token}' }], c: 7, d: null, e: '${env:EMPTY}' }),
  ).toEqual({ a: ['Bearer from-env', { b: 'from-file/from-file' }], c: 7, d: null, e: '' });
  expect(withReferences('${env:A}', { env: { A: '${env:B}', B: 'b' }, folder })).toBe('${env:B}');
});

test('a file loses all line breaks at its end and keeps the others; its path may be absolute', () => {
  expect(resolved(`\${file:${join(folder, 'two-lines')}}`)).toBe('one\ntwo');
});

test.each([
  ['${env:NOPE}', /\$\{env:NOPE\}, but that variable is not set/],
  ['${file:nope}', /\$\{file:nope\}, but .*nope cannot be read/],
  ['${file:folder}', /not a file of at most 1 MiB/],
  ['${file:large}', /not a file of at most 1 MiB/],
  ['${file:/dev/zero}', /not a file of at most 1 MiB/],
])('%s is an error that names it', (text, message) => {
  expect(() => resolved({ a: text })).toThrow(ConfigError);
  expect(() => resolved({ a: text })).toThrow(message);
});

test.each(['$ {env:TOKEN}', '${TOKEN}', '${other:TOKEN}', '${env:}'])('%s is text like any other', (text) => {
  expect(resolved(text)).toBe(text);
});
