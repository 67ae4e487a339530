import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { doubledKey, isNestedDeeper } from '../../src/domain/json-scan.ts';
import { jsonText } from './a-json-text.ts';
import { always } from '../support/properties.ts';

test.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"a":1}', 'a'],
  ['{ "a" : 1 , "\\u0061" : 2 }', 'a'],
  ['{"a":{"b":[{"c":1,"c":2}]}}', 'c'],
  ['[{"a":1},{"a":1,"b":"a\\":","b":0}]', 'b'],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"":1,"":2}', ''],
])('a key that an object has twice is found: %s', (text, key) => {
  expect(doubledKey(text)).toBe(key);
});

test.each([
  '{"a":{"a":[{"a":1},{"a":1}]},"b":"a"}',
  '["a","a"]',
  '"a"',
  '{"a":"\\"a\\":","b":"{\\"a\\":1"}',
  '{}',
  '7',
])('one that each object has once is not: %s', (text) => {
  expect(doubledKey(text)).toBeUndefined();
});

test('only as deep as it is asked to look', () => {
  expect(doubledKey('{"a":{"b":1,"b":2}}', 1)).toBeUndefined();
  expect(doubledKey('{"a":{"b":1,"b":2},"a":0}', 1)).toBe('a');
});

test('whatever is written by a program has no key twice, and any of its members written once more is found', () => {
  always(
    fc.property(jsonText, fc.dictionary(fc.string(), fc.integer(), { minKeys: 1 }), (inner, members) => {
      const [key = ''] = Object.keys(members);
      const entries = Object.entries(members).map(([name, value]) => `${JSON.stringify(name)}:${value}`);
      expect(doubledKey(`{${entries.join(',')},"the inner one":[${JSON.stringify(inner)}]}`)).toBeUndefined();
      expect(doubledKey(`[{${[...entries, `${JSON.stringify(key)}:0`].join(' , ')}}]`)).toBe(key);
    }),
    100,
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
  expect(isNestedDeeper(text, levels)).toBe(isDeeper);
});
