import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { jsonMistake, parseJson, stringifyJson, utf8Bytes } from '../../src/domain/json.ts';
import { jsonText } from './a-json-text.ts';
import { always, anyText } from '../support/properties.ts';
import { doubledKey, excessOf } from '../../src/domain/json-scan.ts';

test('reading and writing JSON keeps its values, digit for digit', () => {
  always(
    fc.property(jsonText, (text) => {
      const once = stringifyJson(parseJson(text));
      expect(stringifyJson(parseJson(once))).toBe(once);
      // Compared by keys and values, since objects put integer-like keys first.
      expect(parseJson(once)).toEqual(parseJson(text));
    }),
  );
});

test.each(['9007199254740993', '-9007199254740993', '18446744073709551615', '100000000000000000000'])(
  'the integer %s keeps its digits, wherever it stands',
  (digits) => {
    for (const text of [digits, `{"a":${digits}}`, `[${digits},${digits}]`, `{"a":[1,{"b":${digits}}]}`])
      expect(stringifyJson(parseJson(text))).toBe(text);
    expect(parseJson(digits)).toBe(BigInt(digits));
  },
);

test.each([
  ['9007199254740991', 9007199254740991],
  ['1234567890123456.5', 1234567890123456.5],
  ['1e16', 1e16],
  ['0.12345678901234567', Number('0.12345678901234567')],
])('the number %s, which a double can hold, stays a number', (text, number) => {
  expect(parseJson(text)).toBe(number);
});

test('JSON in a string is a string, and changes nothing for what stands beside it', () => {
  const profile = '{"loyalty":9007199254740993,"list":[9007199254740993],"path":"C:\\\\"}';
  const text = stringifyJson({ before: 1, profile, loyalty: 9007199254740995n });
  expect(parseJson(text)).toEqual({ before: 1, profile, loyalty: 9007199254740995n });
  expect(stringifyJson(parseJson(text))).toBe(text);
});

test('a text full of profiles is read as fast as any: none of its numbers is its own', () => {
  const profile = JSON.stringify({ text: 'x'.repeat(1000), loyalty: '#' }).replace('"#"', '9007199254740993');
  const text = JSON.stringify(Array.from({ length: 2000 }, () => profile));
  const ms = (one: string): number => {
    const startedAt = performance.now();
    parseJson(one);
    return performance.now() - startedAt;
  };
  const least = (one: string) => Math.min(...[1, 2, 3].map(() => ms(one)));
  // The slow parser takes ten times as long.
  expect(least(text)).toBeLessThan(least(`{"list":${text},"own":9007199254740993}`) / 2);
});

test('a string of digits stays a string', () => {
  expect(parseJson('{"id":"9007199254740993","text":"a: 9007199254740993"}')).toEqual({
    id: '9007199254740993',
    text: 'a: 9007199254740993',
  });
});

test.each([
  ['{"a":1,"a":2}', 2],
  ['{"a":1,"a":2,"n":9007199254740993}', 2],
])('a key that is repeated means its last value: %s', (text, last) => {
  expect(parseJson(text)).toMatchObject({ a: last });
});

test.each(['{"__proto__":{"x":1}}', '{"__proto__":{"x":1},"n":9007199254740993}'])(
  'a key called __proto__ is a key, and changes no prototype: %s',
  (text) => {
    const read = parseJson(text);
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect(Reflect.get(Object(read), 'x')).toBeUndefined();
    expect(stringifyJson(read)).toBe(text);
  },
);

test('properties that are undefined are left out, next to a long integer too', () => {
  expect(stringifyJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  expect(stringifyJson({ a: undefined, n: 9007199254740993n })).toBe('{"n":9007199254740993}');
});

test.each(['', '{', '{"a":9007199254740993', '[9007199254740993,]', 'NaN', "{'a':9007199254740993}"])(
  'invalid JSON is a SyntaxError: %s',
  (text) => {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  },
);

test('bytes are those of UTF-8', () => {
  always(
    fc.property(anyText(), (text) => {
      expect(utf8Bytes(text.toWellFormed())).toBe(Buffer.byteLength(text.toWellFormed()));
    }),
  );
});

test.each([
  ['', 1, 1],
  ['{"a":1,}', 1, 8],
  ['{\n  "token": "s3cret"\n  "b": 1\n}', 3, 3],
  ['{"token": s3cret}', 1, 11],
  ['[1, 9007199254740993 2]', 1, 22],
])('the mistake in %j is in line %i at character %i', (text, line, character) => {
  expect(jsonMistake(text)).toEqual({ line, character });
});

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"a":1}', 'a'],
  ['{ "a" : 1 , "\\u0061" : 2 }', 'a'],
  ['{"a":{"b":[{"c":1,"c":2}]}}', 'c'],
  ['[{"a":1},{"a":1,"b":"a\\":","b":0}]', 'b'],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"":1,"":2}', ''],
])('a repeated key of an object is found: %s', (text, key) => {
  expect(doubledKey(text)).toBe(key);
});

test.each([
  '{"a":{"a":[{"a":1},{"a":1}]},"b":"a"}',
  '["a","a"]',
  '"a"',
  '{"a":"\\"a\\":","b":"{\\"a\\":1"}',
  '{}',
  '7',
])('an object without repeated keys has none found: %s', (text) => {
  expect(doubledKey(text)).toBeUndefined();
});

test('repeated keys are found only down to the requested depth', () => {
  expect(doubledKey('{"a":{"b":1,"b":2}}', 1)).toBeUndefined();
  expect(doubledKey('{"a":{"b":1,"b":2},"a":0}', 1)).toBe('a');
});

test('JSON written by a program has no repeated key, and a repeated member is always found', () => {
  always(
    fc.property(jsonText, fc.dictionary(fc.string(), fc.integer(), { minKeys: 1 }), (inner, members) => {
      const [key = ''] = Object.keys(members);
      const entries = Object.entries(members).map(([name, value]) => `${JSON.stringify(name)}:${value}`);
      expect(doubledKey(`{${entries.join(',')},"the inner one":[${JSON.stringify(inner)}]}`)).toBeUndefined();
      expect(doubledKey(`[{${[...entries, `${JSON.stringify(key)}:0`].join(' , ')}}]`)).toBe(key);
    }),
  );
});

test.each([
  ['[[]]', 2, false],
  ['[[[]]]', 2, true],
  ['{"a":[{"b":1}],"c":[{}]}', 3, false],
  ['[],[],[]', 1, false],
  ['["[[[", "\\"[[["]', 1, false],
  ['"', 0, false],
])('whether %s is nested in more than %i levels', (text, levels, isDeeper) => {
  expect(excessOf(text, { levels, values: Infinity })).toBe(isDeeper ? 'levels' : undefined);
});

test.each([
  ['[{},{}]', 4, false],
  ['[{},{}]', 3, true],
  ['[[],[]]', 3, true],
  ['[1,2]', 2, false],
  ['[1,2]', 1, true],
  ['{"a":1,"b":2}', 2, false],
  ['{"a":1,"b":2}', 1, true],
  ['["{[,,,:", "\\",,,[{"]', 2, false],
  ['{",[{":"]},"}', 1, false],
  ['"', 0, false],
])('whether %s has more than %i values', (text, values, isMore) => {
  expect(excessOf(text, { levels: Infinity, values })).toBe(isMore ? 'values' : undefined);
});
