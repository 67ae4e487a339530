import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { readTriggers } from '../../src/cli/ndjson.ts';

async function read(chunks: readonly (string | Uint8Array)[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const each of readTriggers(Readable.from(chunks, { objectMode: true }))) found.push(each);
  return found;
}

test('reads one value a line, wherever chunks break, with or without a last line end', async () => {
  await expect(read(['{"a":1}\n{"b"', ':2}\n\n', '  \n{"c":3}'])).resolves.toEqual([{ a: 1 }, { b: 2 }, { c: 3 }]);
});

test('characters that a chunk breaks apart stay whole', async () => {
  const bytes = Buffer.from('{"name":"Zoë ✓"}\n');
  await expect(read([bytes.subarray(0, 13), bytes.subarray(13, 16), bytes.subarray(16)])).resolves.toEqual([
    { name: 'Zoë ✓' },
  ]);
});

test('integers beyond 2^53 keep their digits', async () => {
  await expect(read(['{"profile":{"id":7076027172059065053}}\n'])).resolves.toEqual([
    { profile: { id: 7076027172059065053n } },
  ]);
});

test('a line that is not JSON is named by its number', async () => {
  await expect(read(['{"a":1}\n\n{oops\n'])).rejects.toThrow(/line 3 is not JSON/);
});

test('a stream without line ends does not fill the memory', async () => {
  await expect(read(Array.from({ length: 64 }, () => 'x'.repeat(65_536)))).rejects.toThrow(/longer than/);
});
