import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../src/contract/trigger.ts';
import { fieldPaths, selectFields } from '../../src/domain/export-fields.ts';

const profile: JsonObject = {
  email: 'e',
  name: null,
  'a.b': 'dotted',
  a: { b: 'nested', c: { d: 1, e: 2 } },
  tags: ['x', 'y'],
};

test.each<[fields: string[], selected: object]>([
  [[], profile],
  [['email'], { email: 'e' }],
  [['name'], { name: null }],
  [['a.b'], { 'a.b': 'dotted' }],
  [['a.c.d'], { a: { c: { d: 1 } } }],
  [['a.c.d', 'a.c.e'], { a: { c: { d: 1, e: 2 } } }],
  [['a.c.d', 'a'], { a: profile['a'] }],
  [['a', 'a.c.d'], { a: profile['a'] }],
  [['a.c.d', 'a.c'], { a: { c: { d: 1, e: 2 } } }],
  [['missing', 'a.missing', 'a.c.missing', 'email.x', 'tags.0', 'tags.length', ''], {}],
  [['toString', 'constructor.name', '__proto__', 'a.__proto__'], {}],
])('fields %j take %j', (fields, selected) => {
  expect(selectFields(profile, fields)).toEqual(selected);
});

test('a field called __proto__ can be selected like any other', () => {
  const hostile = JSON.parse('{"__proto__":{"x":1},"a":{"__proto__":2}}') as JsonObject;
  expect(JSON.stringify(selectFields(hostile, ['__proto__', 'a.__proto__']))).toBe(JSON.stringify(hostile));
});

test('what is selected is in the profile, at the same place', () => {
  const value = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'a.b'), fc.jsonValue({ maxDepth: 3 }));
  const fields = fc.array(fc.constantFrom('a', 'b', 'a.b', 'a.b.c', 'b.c', 'c.a', 'a.c'), { minLength: 1 });
  fc.assert(
    fc.property(value, fields, (raw, names) => {
      const whole = JSON.parse(JSON.stringify(raw)) as JsonObject;
      expect(whole).toMatchObject(selectFields(whole, names));
    }),
  );
});

describe('the fields that can be chosen of a profile', () => {
  test('are its keys, and the paths behind objects, in order', () => {
    const profile = { email: 'e', user_attributes: { value: '1', more: { deep: true } }, channels: ['web'] };
    expect(fieldPaths(profile)).toEqual([
      'channels',
      'email',
      'user_attributes',
      'user_attributes.more',
      'user_attributes.more.deep',
      'user_attributes.value',
    ]);
  });

  test('each take what they name, and nothing that no path names is among them', () => {
    const profile = { 'a.b': { c: 1 }, a: { 'x.y': 1, z: null }, '': 1, ' s ': 1 };
    expect(fieldPaths(profile)).toEqual(['a', 'a.z', 'a.b']);
    for (const path of fieldPaths(profile)) expect(selectFields(profile, [path])).not.toEqual({});
  });

  test('are at most a thousand, and not from the depths', () => {
    expect(fieldPaths(Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`f${i}`, i])))).toHaveLength(1000);
    let deep: JsonObject = {};
    for (let i = 0; i < 50; i++) deep = { a: deep };
    expect(fieldPaths(deep)).toHaveLength(8);
  });
});
