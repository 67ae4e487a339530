import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ConfigError } from '../../src/config/problems.ts';
import { plainSecrets, withReferences } from '../../src/config/references.ts';
import { tempFolder } from '../support/temp-folder.ts';

const folder = tempFolder();
writeFileSync(join(folder, 'token'), 'from-file\r\n\n');
writeFileSync(join(folder, 'two-lines'), 'one\ntwo\n');
writeFileSync(join(folder, 'large'), 'x'.repeat(1024 * 1024 + 1));
mkdirSync(join(folder, 'folder'));

const resolved = (value: unknown) => withReferences(value, { env: { TOKEN: 'from-env', EMPTY: '' }, folder });

test('a reference is replaced in every string, and a reference in its value is not', () => {
  expect(
    resolved({ a: ['Bearer ${env:TOKEN}', { b: '${file:token}/${file:./token}' }], c: 7, d: null, e: '' }),
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

test.each([
  ['${TOKEN}', '${env:TOKEN}'],
  ['Bearer ${TOKEN}', '${env:TOKEN}'],
  ['${ENV:TOKEN}', '${env:TOKEN}'],
  ['${env:TOKEN', '${env:TOKEN}'],
  ['${env: TOKEN', '${env:TOKEN}'],
  ['$ {env:TOKEN}', '${env:TOKEN}'],
  ['$(TOKEN)', '${env:TOKEN}'],
  ['${env:}', '${env:NAME} or ${file:PATH}'],
  ['${other:TOKEN}', '${env:NAME} or ${file:PATH}'],
  ['${}', '${env:NAME} or ${file:PATH}'],
  ['a${b', '${env:NAME} or ${file:PATH}'],
  ['${env:${env:TOKEN}}', '${env:NAME} or ${file:PATH}'],
  ['{env:TOKEN}', '${env:NAME} or ${file:PATH}'],
  ['$env:TOKEN', '${env:NAME} or ${file:PATH}'],
  ['env:TOKEN', '${env:NAME} or ${file:PATH}'],
  ['$TOKEN', '${env:NAME} or ${file:PATH}'],
  ['${env:TOKEN}${TOKEN}', '${env:NAME} or ${file:PATH}'],
])('[S24] %s looks like a reference but is not one, and the error shows the right spelling', (text, right) => {
  const problem = messageOf({ authorizations: { crm: { bearer: text } } });
  expect(problem).toMatch(/^The value of authorizations\.crm\.bearer looks like a reference and is none\./);
  expect(problem).toContain(`A reference is written ${right};`);
});

test('[S24] an error does not repeat a value or key that may be part of a secret', () => {
  for (const value of ['p4ss${S3CRET', 'p4ss $S3CRET', '$S3CRET', 'a ${S3CRET} b', 'x$(S3CRET)'])
    expect(messageOf({ a: value })).not.toMatch(/S3CRET|p4ss/);
  expect(messageOf({ 'authorization: Bearer s3cret': '${' })).not.toMatch(/s3cret/);
});

test.each([
  ['$${env:TOKEN}', '${env:TOKEN}'],
  ['a$${b', 'a${b'],
  ['$$TOKEN', '$TOKEN'],
  ['$$(x)', '$(x)'],
  ['$${${env:TOKEN}', '${from-env'],
])('%s means %s literally', (text, meant) => {
  expect(resolved(text)).toBe(meant);
});

test.each([
  'SELECT id AS user FROM members WHERE audience = $1',
  'query ($ids: [ID!]!) { people(ids: $ids) { id } }',
  '/people/{user}?after={cursor}',
  '$',
  '$$',
  'a$b',
  'US$ 5',
  'cost$',
  '^[a-z]+$',
  '$5e',
  'x$ABC',
  '{}',
  'https://env:8080/',
])('%s is no reference and stays as it is', (text) => {
  expect(resolved(text)).toBe(text);
});

test('a reference cannot be a key', () => {
  expect(messageOf({ headers: { '${env:TOKEN}': 'x' } })).toMatch(/no key, as headers\.…/);
});

test('a variable or a file that is empty is an error, since no secret is', () => {
  expect(messageOf({ a: { b: '${env:EMPTY}' } })).toMatch(/refers to \$\{env:EMPTY\} at a\.b, but that is empty/);
  writeFileSync(join(folder, 'empty'), '\n');
  expect(messageOf('${file:empty}')).toMatch(/refers to \$\{file:empty\} at the configuration, but that is empty/);
});

function messageOf(value: unknown): string {
  try {
    resolved(value);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error instanceof Error ? error.message : '';
  }
  throw new Error('It was accepted.');
}

test('secrets that stand in a configuration are named by their settings, and references are not', () => {
  const reference = '${env:A}';
  const configuration = (secret: string) => ({
    source: { kind: 'postgres', url: `postgres://app:${secret}@db/crm`, password: secret },
    authorizations: {
      crm: { bearer: secret, signingSecrets: [secret, { secret, until: '2030-01-01T00:00:00Z' }] },
      old: { headers: { 'x-api-key': `Key ${secret}` }, queryParameters: { token: secret } },
    },
    ingests: { shop: { preset: 'segment', header: { name: 'x', value: secret } } },
    payloadKeys: [`2026:${secret}`],
  });
  expect(plainSecrets(configuration(reference))).toEqual([]);
  expect(plainSecrets({ ...configuration(reference), taskQueue: 'key', apiKeys: { a: { hash: 'sha256:0' } } })).toEqual(
    [],
  );
  expect(plainSecrets(configuration('s3cret'))).toEqual([
    'source.url',
    'source.password',
    'authorizations.crm.bearer',
    'authorizations.crm.signingSecrets.0',
    'authorizations.crm.signingSecrets.1.secret',
    'authorizations.old.headers.x-api-key',
    'authorizations.old.queryParameters.token',
    'ingests.shop.header.value',
    'payloadKeys.0',
  ]);
  expect(plainSecrets({ url: 'postgres://app:$3cret@db/crm' })).toEqual(['url']);
  expect(plainSecrets({ oauth2: { parameters: { audience: 'a', client_assertion_key: 's3cret' } } })).toEqual([
    'oauth2.parameters.client_assertion_key',
  ]);
});
