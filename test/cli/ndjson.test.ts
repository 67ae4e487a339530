import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { readTriggers } from '../../src/cli/ndjson.ts';

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
])('the line %s is said to be no trigger, with its number', async (wrong, says) => {
  await expect(read([`${line('1')}\n\n${wrong}\n`])).rejects.toThrow(says);
});

test('a stream without line ends does not fill the memory', async () => {
  await expect(read(Array.from({ length: 64 }, () => 'x'.repeat(65_536)))).rejects.toThrow(/longer than/);
});
