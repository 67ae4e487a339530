import { expect, test } from '@jest/globals';
import { fieldsOf } from '../../../src/domain/message.ts';
import { readProfileLine } from '../../../src/sources/file/profiles.ts';

test.each([
  ['spelt the usual way', '{"user":"1","profile":{"b":1,"a":9007199254740993}}'],
  ['spelt another way', '{ "profile" : {"b":1,"a":9007199254740993}, "user":"1" }'],
  ['with a key twice', '{"user":"1","profile":{"a":0,"b":1,"a":9007199254740993}}'],
])('a line %s says whose it is and what their fields are, whoever is expected', (_, line) => {
  for (const likely of [undefined, '1', '2']) {
    const reading = readProfileLine(line, likely);
    expect(reading).toMatchObject({ ok: true, user: '1' });
    expect(reading.ok && fieldsOf(reading.profile)).toEqual({ a: 9007199254740993n, b: 1 });
  }
});

test.each([
  '{"user":"1","profile":{"a":1}',
  '{"user":"1","profile":{"a":1}x',
  '{"user":"1","profile":{"a":1},}',
  '{"user":"1","profile":{"a":}}',
  '{"user":"1","profile":{"a":1}}}',
  '{"user":"1","profile":{"a":1}}{}',
])('the line %s is not JSON, whoever is expected', (line) => {
  for (const likely of [undefined, '1'])
    expect(readProfileLine(line, likely)).toMatchObject({ ok: false, problem: expect.stringMatching(/not JSON/) });
});

test('a line that is not JSON is not quoted, since it is about somebody', () => {
  expect(readProfileLine('\uFEFF{"user":"1","profile":{"email":linnea}}')).toEqual({
    ok: false,
    problem: 'this is not JSON (something is wrong at character 32)',
  });
});
