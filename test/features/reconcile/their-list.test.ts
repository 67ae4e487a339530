import { InvalidList } from '../../../src/features/reconcile/errors.ts';
import { expect, test } from '@jest/globals';
import { type ListOptions, readTheirList } from '../../../src/features/reconcile/their-list.ts';

async function* chunked(text: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function read(text: string | Uint8Array, options: ListOptions): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of readTheirList(chunked(text), options)) ids.push(id);
  return ids;
}

async function problemsOf(text: string | Uint8Array, options: ListOptions): Promise<string[]> {
  try {
    await read(text, options);
  } catch (error) {
    if (error instanceof InvalidList) return error.problems.map(({ field, message }) => `${field}: ${message}`);
    throw error;
  }
  return [];
}

test('lines are ids, whatever ends them, without a byte order mark or blank lines', async () => {
  expect(await read('\uFEFF7076027172059065053\r\nmüller@example.com\r\n\r\n \t\na b\n7', { format: 'lines' })).toEqual(
    ['7076027172059065053', 'müller@example.com', 'a b', '7'],
  );
  expect(await read('', { format: 'lines' })).toEqual([]);
});

test.each([' 1', '1 ', '1\u00A0', '\u30001', ' 1\r'])(
  'the reader refuses %j in formats that cannot tell whether its space is meant, and takes it in the others',
  async (id) => {
    const reason = 'the id begins or ends with a space; if that is part of it, write it as JSON (format ndjson)';
    expect(await problemsOf(`0\n${id}\n2`, { format: 'lines' })).toEqual([`line 2: ${reason}`]);
    const written = id.replace('\r', '');
    expect(await problemsOf(`id\n${written}\n2`, { format: 'csv' })).toEqual([`line 2: ${reason}`]);
    expect(await read(`${JSON.stringify(written)}\n{"id":${JSON.stringify(written)}}`, { format: 'ndjson' })).toEqual([
      written,
      written,
    ]);
  },
);

test.each([
  ['lines', '1\n2\tMüller\n'],
  ['lines', '1\n2\u0000\n'],
  ['ndjson', '"1"\n"2\\u0007"\n'],
  ['ndjson', '"1"\n{"id":"2\\n"}\n'],
  ['csv', 'id\n"1\n2"\n'],
] as const)('a control character in %s is named by its line: %j', async (format, text) => {
  expect(await problemsOf(text, { format })).toEqual([
    expect.stringMatching(/^line [23]: the id has a control character, such as a tab$/),
  ]);
});

test('a number of JSON is the id as it is written, with all digits, and no other number', async () => {
  expect(await read('9007199254740993\n-0\n{"id":-7}\n{"b":1e3,"id":0}\n', { format: 'ndjson' })).toEqual([
    '9007199254740993',
    '-0',
    '-7',
    '0',
  ]);
  for (const one of ['1e3', '{"id":1e3}', '1.0', '{"user":1E0}', '1e400', '12345678901234567e0'])
    expect(await problemsOf(`${one}\n`, { format: 'ndjson' })).toEqual(['line 1: an id is text, or a whole number']);
});

test('the reader names each wrong line by its number, also later ones, and gives no ids after the first', async () => {
  const given: string[] = [];
  const text = ['one', 'x'.repeat(256), '{"user":"2"}', 'three'].join('\n');
  const reading = async (): Promise<void> => {
    for await (const id of readTheirList(chunked(text), { format: 'lines' })) given.push(id);
  };
  await expect(reading()).rejects.toMatchObject({
    name: 'InvalidList',
    wrong: 2,
    problems: [
      { field: 'line 2', message: 'an id has 1 to 255 characters' },
      { field: 'line 3', message: 'this looks like JSON: use the format ndjson' },
    ],
  });
  expect(given).toEqual(['one']);
  const many = Array.from({ length: 30 }, () => '[').join('\n');
  await expect(read(many, { format: 'lines' })).rejects.toMatchObject({
    wrong: 30,
    problems: { length: 10 },
  });
});

test.each(['id', 'user', ' User_ID '])(
  'a list of lines that begins with %p is not a list of lines: a person of that name would exit',
  async (name) => {
    await expect(read(`${name}\n1\n2\n`, { format: 'lines' })).rejects.toMatchObject({
      problems: [{ field: 'line 1', message: 'this looks like a column name: use the format csv' }],
    });
  },
);

test.each(['lines', 'csv'] as const)('an id that a spreadsheet has rounded is refused, in %s', async (format) => {
  await expect(read(`${format === 'csv' ? 'id\n' : ''}7.07603E+18\n`, { format })).rejects.toMatchObject({
    problems: [{ message: 'this looks like an id that a spreadsheet has rounded: its digits are lost' }],
  });
});

test('JSON is an id, or an object with one; whole numbers keep all digits', async () => {
  const text =
    '"7076027172059065053"\n7076027172059065053\n{"user":12645278470990184693}\n{"id":"a","email":"b"}\n-1\n';
  expect(await read(text, { format: 'ndjson' })).toEqual([
    '7076027172059065053',
    '7076027172059065053',
    '12645278470990184693',
    'a',
    '-1',
  ]);
  expect(await read('{"id":1,"ext":"x"}', { format: 'ndjson', column: 'ext' })).toEqual(['x']);
});

test.each([
  ['{"id":"1","user":"2"}', 'it has "id" and "user": name the one with the ids (column)'],
  ['{"email":"1"}', 'it has neither "user" nor "id": name the key with the ids (column)'],
  ['{"user":"1","user":"2"}', 'it has "user" twice'],
  ['{"user":null}', 'an id is text, or a whole number'],
  ['1.5', 'an id is text, or a whole number'],
  ['""', 'an id has 1 to 255 characters'],
  ['"\\ud800"', 'the id is not valid Unicode'],
  ['["1"]', 'an id is text, or a whole number'],
  ['seven', 'this is not JSON'],
])('%s is no id', async (line, reason) => {
  expect(await problemsOf(`"1"\n${line}\n`, { format: 'ndjson' })).toEqual([`line 2: ${reason}`]);
});

test('a CSV names its columns first; quotes, commas and line ends within them, a byte order mark', async () => {
  const text = '\uFEFFname,ID\r\n"Müller, ""Max""\r\nand Moritz",707602717205906505312\r\nB,"a,b"\r\n';
  expect(await read(text, { format: 'csv' })).toEqual(['707602717205906505312', 'a,b']);
  expect(await read('name,ext\na,1\n\nb,2', { format: 'csv', column: 'ext' })).toEqual(['1', '2']);
  expect(await read('id\n', { format: 'csv' })).toEqual([]);
});

test.each([
  ['name,email\na,1\n', undefined, /^line 1: .*exactly one of them user or id; it has "name", "email"\./],
  ['id,user\n1,2\n', undefined, /^line 1: .*it has "id", "user"\./],
  ['id\n1\n', 'ext', /^line 1: .*exactly one of them "ext"/],
  ['id,a\n1,2\n3\n', undefined, /^line 3: .*a different number of columns/],
  ['id,a\n1,2\n,3\n', undefined, /^line 3: an id has 1 to 255/],
  ['id\n1\n"2\n', undefined, /a quote that opens/],
])('the CSV %j says what is wrong', async (text, column, words) => {
  const [problem = ''] = await problemsOf(text, { format: 'csv', column });
  expect(problem).toMatch(words);
});

test('a CSV with semicolons, as many spreadsheets write it, gets a hint at commas', async () => {
  expect(await problemsOf('id;mail\n1;a@b\n', { format: 'csv' })).toEqual([
    'line 1: its columns are separated by ";": save it with "," instead',
  ]);
});

test.each(['lines', 'csv', 'ndjson'] as const)('%s that are not UTF-8 are refused', async (format) => {
  const text = Buffer.concat([Buffer.from(format === 'csv' ? 'id\n' : '1\n'), Buffer.from([0xff, 0x0a])]);
  expect((await problemsOf(text, { format })).join()).toMatch(/UTF-8/);
});
