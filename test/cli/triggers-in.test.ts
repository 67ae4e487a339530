import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { readTriggers, triggerFrom } from '../../src/cli/triggers-in.ts';

async function read(chunks: readonly (string | Uint8Array)[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const each of readTriggers(Readable.from(chunks, { objectMode: true }))) found.push(each);
  return found;
}

const line = (user: string, more = '') => `{"event":"enter","audience":"vip","user":"${user}"${more}}`;

test('reads one trigger a line, wherever chunks break, with or without a last line end', async () => {
  const text = `${line('1')}\n${line('2')}\n\n  \n${line('3')}`;
  const chunks = [text.slice(0, 60), text.slice(60, 75), text.slice(75)];
  expect((await read(chunks)).map((trigger) => Reflect.get(trigger as object, 'user'))).toEqual(['1', '2', '3']);
});

test('characters that a chunk breaks apart stay whole', async () => {
  const bytes = Buffer.from(`${line('Zoë ✓')}\n`);
  const at = bytes.indexOf('Zo');
  await expect(
    read([bytes.subarray(0, at + 3), bytes.subarray(at + 3, at + 6), bytes.subarray(at + 6)]),
  ).resolves.toEqual([{ event: 'enter', audience: 'vip', user: 'Zoë ✓' }]);
});

test('integers beyond 2^53 keep their digits', async () => {
  await expect(read([`${line('1', ',"profile":{"id":7076027172059065053}')}\n`])).resolves.toEqual([
    { event: 'enter', audience: 'vip', user: '1', profile: { id: 7076027172059065053n } },
  ]);
});

test.each([
  ['{oops', /^Line 3 is not a trigger: it is not JSON/],
  // What stands there may be somebody's profile.
  ['{"user":linnea}', /: it is not JSON \(something is wrong at character 9\)[^a-z]*$/],
  ['{"event":"enter","audience":"vip","user":7}', /^Line 3 is not a trigger: "user" must be a string/],
  ['[]', /^Line 3 is not a trigger/],
  ['{"event":"enter","audience":"vip","user":"1","user":"2"}', /^Line 3 is not a trigger: it has "user" twice/],
  ['{"event":"enter","audience":"vip","user":"1","profil":{}}', /^Line 3 .* has no "profile" but "profil"/],
])('the line %s is said to be no trigger, with its number', async (wrong, says) => {
  await expect(read([`${line('1')}\n\n${wrong}\n`])).rejects.toThrow(says);
});

test('inside a profile the last of two equal keys counts, as everywhere', async () => {
  await expect(read([line('1', ',"profile":{"a":1,"a":2}')])).resolves.toMatchObject([{ profile: { a: 2 } }]);
});

test('a stream without line ends does not fill the memory', async () => {
  await expect(read(Array.from({ length: 64 }, () => 'x'.repeat(65_536)))).rejects.toThrow(/longer than/);
});

test('one trigger can be given by options', () => {
  expect(triggerFrom({ audience: 'vip', enter: true, user: '707' })).toEqual({
    event: 'enter',
    audience: 'vip',
    user: '707',
  });
  expect(
    triggerFrom({
      audience: 'vip',
      exit: true,
      user: '707',
      at: '2026-11-25T08:30:00Z',
      profile: '{"n":7076027172059065053}',
    }),
  ).toEqual({
    event: 'exit',
    audience: 'vip',
    user: '707',
    at: '2026-11-25T08:30:00Z',
    profile: { n: 7076027172059065053n },
  });
});

test.each([
  [{ audience: 'vip', user: '707' }],
  [{ audience: 'vip', user: '707', enter: true, exit: true }],
  [{ user: '707', enter: true }],
  [{ audience: 'vip', user: '707', enter: true, at: 'yesterday' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '{' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '[]' }],
  [{ audience: 'vip', user: '707', enter: true, profile: '{"a":1,"a":2}' }],
])('%j is no trigger', (options) => {
  expect(() => triggerFrom(options)).toThrow(expect.objectContaining({ name: 'UsageError' }));
});

test('a profile that is not JSON is not quoted, since it is about somebody', () => {
  const options = { audience: 'vip', user: '707', enter: true, profile: '{"email":linnea}' };
  expect(() => triggerFrom(options)).toThrow(/^--profile is not JSON: something is wrong at character 10\.$/);
});
