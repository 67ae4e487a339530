import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../src/contract/trigger.ts';
import { parseJson, stringifyJson } from '../../src/domain/json.ts';
import {
  fieldPaths,
  fieldsOf,
  legacyPayload,
  newPayload,
  type PayloadParts,
  type Profile,
  profileIn as readProfile,
  ProfileText,
  selectFields,
} from '../../src/domain/message.ts';
import { jsonKey, jsonText, objectText, speltText } from './a-json-text.ts';
import { always } from '../support/properties.ts';

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

test('every selected field is in the profile, at the same place', () => {
  const value = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'a.b'), fc.jsonValue({ maxDepth: 3 }));
  const fields = fc.array(fc.constantFrom('a', 'b', 'a.b', 'a.b.c', 'b.c', 'c.a', 'a.c'), { minLength: 1 });
  always(
    fc.property(value, fields, (raw, names) => {
      const whole = JSON.parse(JSON.stringify(raw)) as JsonObject;
      expect(whole).toMatchObject(selectFields(whole, names));
    }),
  );
});

describe('the selectable fields of a profile', () => {
  test('selectable fields are the keys, and the paths behind objects, in order', () => {
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

  test('a field that no path can name is not selectable, and every selectable field selects something', () => {
    const profile = { 'a.b': { c: 1 }, a: { 'x.y': 1, z: null }, '': 1, ' s ': 1 };
    expect(fieldPaths(profile)).toEqual(['a', 'a.z', 'a.b']);
    for (const path of fieldPaths(profile)) expect(selectFields(profile, [path])).not.toEqual({});
  });

  test('selectable fields are at most a thousand, and not from the depths', () => {
    expect(fieldPaths(Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`f${i}`, i])))).toHaveLength(1000);
    let deep: JsonObject = {};
    for (let i = 0; i < 50; i++) deep = { a: deep };
    expect(fieldPaths(deep)).toHaveLength(8);
  });
});

const fixture = (name: string) => readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8');

/** A text without the white space that stands between its tokens. */
const compact = (json: string) => json.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, '$1');

const parts: PayloadParts = {
  ...(JSON.parse(fixture('trigger')) as Omit<PayloadParts, 'profile' | 'exportFields'>),
  profile: parseJson(fixture('profile')) as JsonObject,
  exportFields: [],
};

const FORMATS = [
  ['new', newPayload],
  ['legacy', legacyPayload],
] as const;

const dataOf = (body: string): unknown => Reflect.get(Object(parseJson(body)), 'data');

test.each(FORMATS)('the %s format of an enter is the golden body, to the letter', (name, payload) => {
  expect(payload(parts)).toBe(compact(fixture(`payload.${name}`)));
});

test('an exit in the new format says exit, and when, under that name', () => {
  const body = compact(fixture('payload.new'))
    .replace('"event":"enter"', '"event":"exit"')
    .replace('"enter":"2026', '"exit":"2026');
  expect(newPayload({ ...parts, event: 'exit' })).toBe(body);
});

test('the audiences of the person stand beside segment_events, and win over a field of that name', () => {
  const profile = { segments_all: 'of the person', zip: 1 };
  const given = { ...parts, profile, memberships: ['news', 'vip'] };
  for (const one of [profile, ProfileText.read(stringifyJson(profile)) ?? {}]) {
    expect(newPayload({ ...given, profile: one })).toContain('}],"segments_all":["news","vip"],"zip":1}');
    const legacy = legacyPayload({ ...given, profile: one });
    expect(legacy).toContain('"segments_all":"of the person"');
    expect(legacy).toContain('}],"segments_all":["news","vip"],"subscriptionid":');
  }
  expect(newPayload({ ...given, exportFields: ['zip'], memberships: [] })).toContain('}],"segments_all":[],"zip":1}');
});

test('an exit in the legacy format says exited too', () => {
  const body = compact(fixture('payload.legacy'))
    .replace('"event":"enter"', '"event":"exit"')
    .replace('"enter":"2026', '"exit":"2026')
    .replace('"_audience_action":"entered"', '"_audience_action":"exited"');
  expect(legacyPayload({ ...parts, event: 'exit' })).toBe(body);
});

test('our keys win over fields of the profile that have the same name', () => {
  const profile = { segment_events: 'theirs', _audience: 1, _audience_action: 2, _audience_friendly: 3, email: 'e' };
  expect(dataOf(newPayload({ ...parts, profile }))).toMatchObject({
    segment_events: [{ event: 'enter' }],
    _audience: 1,
    email: 'e',
  });
  expect(dataOf(legacyPayload({ ...parts, profile }))).toMatchObject({
    _audience: parts.audience.id,
    _audience_action: 'entered',
    _audience_friendly: parts.audience.slug,
    _audience_name: parts.audience.name,
  });
});

test('Export Fields never filter our keys', () => {
  const few = { ...parts, exportFields: ['email'] };
  expect(Object.keys(Object(dataOf(newPayload(few))))).toEqual(['email', 'segment_events']);
  expect(Object.keys(Object(dataOf(legacyPayload(few))))).toEqual([
    '_audience',
    '_audience_action',
    '_audience_friendly',
    '_audience_name',
    'email',
  ]);
});

test('an Export Field that the profile lacks leaves our keys alone', () => {
  const none = newPayload({ ...parts, profile: {}, exportFields: ['email'] });
  expect(Object.keys(Object(dataOf(none)))).toEqual(['segment_events']);
});

test('the keys of data are sorted, numbers and __proto__ among them', () => {
  const profile = parseJson('{"b":1,"10":1,"9":1,"__proto__":{"x":1},"Z":1,"a":1,"segment_f":1}') as JsonObject;
  const keys = ['10', '9', 'Z', '__proto__', 'a', 'b', 'segment_events', 'segment_f'];
  const body = newPayload({ ...parts, profile });
  expect(keys.map((key) => body.indexOf(`"${key}":`)).every((at, i, all) => at > (all[i - 1] ?? 0))).toBe(true);
  expect(body).toContain('"__proto__":{"x":1}');
});

test('integers above 2^53 keep their digits in both formats', () => {
  const profile = parseJson('{"loyalty":9007199254740993,"deep":{"list":[18446744073709551615]}}') as JsonObject;
  for (const [, payload] of FORMATS) {
    expect(payload({ ...parts, profile })).toContain('"loyalty":9007199254740993');
    expect(payload({ ...parts, profile })).toContain('"list":[18446744073709551615]');
  }
});

test.each(FORMATS)('a time goes out in the %s format as it was spelt, with its nanoseconds', (_, payload) => {
  const at = '2020-10-14t13:27:33.916374949-07:00';
  expect(payload({ ...parts, at })).toContain(`"enter":"${at}"`);
});

test.each(FORMATS)('a person whose id has quotes breaks nothing in the %s format', (_, payload) => {
  const user = 'a"},"data":{"x":"\\\n';
  expect(Reflect.get(Object(parseJson(payload({ ...parts, user }))), 'id')).toBe(user);
});

const someParts: Omit<PayloadParts, 'profile'> = {
  user: '1',
  event: 'enter',
  at: '2026-01-01T00:00:00Z',
  audience: { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' },
  subscriptionId: '5'.repeat(32),
  exportFields: [],
  attemptAt: '2026-01-01T00:00:01.000000000+00:00',
};

const parsed = (text: string) => parseJson(text) as JsonObject;
/** As a source does it. */
const profileIn = (text: string): Profile => ProfileText.read(text) ?? parsed(text);
const bodiesOf = (profile: Profile, exportFields: string[] = []) =>
  [newPayload, legacyPayload].map((payload) => payload({ ...someParts, profile, exportFields }));

test('a body made from a text equals the one made from its object, to the letter, in any key order', () => {
  const canonical = jsonText.map((text) => stringifyJson(parseJson(text)));
  const members = fc.uniqueArray(fc.tuple(jsonKey, canonical), { selector: ([key]) => key, maxLength: 20 });
  always(
    fc.property(members, fc.boolean(), (members, isSorted) => {
      const text = objectText(isSorted ? members.toSorted(([a], [b]) => (a < b ? -1 : 1)) : members);
      expect(bodiesOf(profileIn(text))).toEqual(bodiesOf(parsed(text)));
    }),
  );
});

test('a body made from a text says the same as one from its object, however the text is spelt', () => {
  const key = fc.oneof(jsonKey, fc.constantFrom('a', 'b'));
  const members = fc.array(fc.tuple(key, speltText), { maxLength: 8 });
  const spaces = fc.constantFrom('', ' ', '\t');
  always(
    fc.property(members, spaces, spaces, (members, before, after) => {
      const text = objectText(
        members.map(([key, json]) => [key, `${before}${json}${after}`]),
        (key) => `${after}${JSON.stringify(key)}${before}`,
      );
      expect(bodiesOf(profileIn(text)).map(parseJson)).toEqual(bodiesOf(parsed(text)).map(parseJson));
      expect(fieldsOf(profileIn(text))).toEqual(parsed(text));
    }),
  );
});

test('a profile text that can be read is valid JSON, however it was damaged', () => {
  const part = fc.constantFrom(...'{}[]",:\\ -+.eE0159utrnf\u0000\u0001\n\ud800', 'true', '\\u00e', '""', '1.');
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.oneof(part, fc.constant(''))), { maxLength: 2 });
  const members = fc.array(fc.tuple(fc.constantFrom('a', 'b', '\u00e9'), speltText), { maxLength: 3 });
  let [valid, broken] = [0, 0];
  always(
    fc.property(members, damage, (members, damage) => {
      let text = objectText(members);
      for (const [place, cut, put] of damage) {
        const at = place % (text.length + 1);
        text = text.slice(0, at) + put + text.slice(at + cut);
      }
      const read = ProfileText.read(text);
      if (read === undefined) broken++;
      else {
        valid++;
        expect(read.parse()).toEqual(parsed(text));
      }
    }),
    200,
  );
  expect(Math.min(valid, broken)).toBeGreaterThan((valid + broken) / 5);
});

test.each([
  '{"a":1,}',
  '{,"a":1}',
  '{"a":1 "b":2}',
  '{"a" 1}',
  '{a:1}',
  '{"a":}',
  '{"a":01}',
  '{"a":-}',
  '{"a":1.}',
  '{"a":.5}',
  '{"a":1e}',
  '{"a":+1}',
  '{"a":1e+}',
  '{"a":NaN}',
  '{"a":nul}',
  '{"a":[1,]}',
  '{"a":[1 2]}',
  '{"a":{"b":1,}}',
  '{"a":{"b"}}',
  '{"a":[}]',
  '{"a":"x}',
  '{"a":"\t"}',
  String.raw`{"a":"\x"}`,
  String.raw`{"a":"\u12g4"}`,
  String.raw`{"a":"\u12"}`,
  String.raw`{"a":"\"}`,
  '{"a":1}}',
  '{"a":1} ',
  '{"a":1',
  '{"a":1}{}',
  '{',
  '',
  '[]',
  '"a"',
  'null',
])('%j is no text of an object', (text) => {
  expect(ProfileText.read(text)).toBeUndefined();
});

test.each([
  ['a key that is there twice', '{"a":1,"b":2,"a":3}'],
  ['an escape in a key', String.raw`{"\u0061":1}`],
  ['a lone surrogate', '{"a":"\ud800"}'],
  ['more than a hundred levels of arrays', `{"a":${'['.repeat(101)}${']'.repeat(101)}}`],
  ['more than a hundred levels of objects', `{"a":${'{"b":'.repeat(101)}0${'}'.repeat(101)}}`],
])('%s is left to the parser', (_, text) => {
  expect(ProfileText.read(text)).toBeUndefined();
  expect(() => parsed(text)).not.toThrow();
});

test('values go out as they are spelt', () => {
  const text = String.raw`{"a":1.5,"b":[ -7, 1e+21 ],"c":"\u00e9\/","d":9007199254740993,"e":1e-7}`;
  expect(ProfileText.read(text)?.with({})).toBe(text);
});

test.each([
  ['1.10', '1.1'],
  ['1.0', '1'],
  ['1e3', '1000'],
  ['-0', '0'],
  ['-0.0', '0'],
  ['0.12345678901234567890123', '0.12345678901234568'],
  ['100000000000000000000000.5', '1.0000000000000001e+23'],
  ['1E400', undefined],
])('the number %s is sent as %s, by whatever way it came in', (spelt, sent) => {
  const text = `{"n":${spelt},"o":{"l":[${spelt}]}}`;
  const sentOf = (profile: Profile): unknown => {
    const body = newPayload({ ...NUMBERS, profile });
    return /"data":\{(.*),"segment_events"/.exec(body)?.[1];
  };
  // From a source, which has the text, and with a trigger, which was parsed.
  for (const profile of [readProfile(text), parseJson(text) as JsonObject]) {
    if (sent === undefined) expect(() => sentOf(profile)).toThrow(RangeError);
    else expect(sentOf(profile)).toBe(`"n":${sent},"o":{"l":[${sent}]}`);
  }
});

const NUMBERS: Omit<PayloadParts, 'profile'> = {
  user: '7',
  event: 'enter',
  at: '2026-01-01T00:00:00Z',
  audience: { id: 'a', slug: 'vip', name: 'VIP' },
  subscriptionId: 's',
  exportFields: [],
  attemptAt: '2026-01-01T00:00:00Z',
};

test('a text is what is between two places', () => {
  const line = '{"user":"1","profile":{"a":1}}';
  const [from, to] = [line.indexOf('{', 1), line.length - 1];
  expect(ProfileText.read(line, from, to)?.with({})).toBe('{"a":1}');
  for (const [first, last] of [
    [from - 1, to],
    [from, to - 1],
    [from, to + 1],
    [0, to],
  ] as const)
    expect(ProfileText.read(line, first, last)).toBeUndefined();
});

test.each([
  ['{}', '{"k":0}'],
  ['{"a":1}', '{"a":1,"k":0}'],
  ['{"z":1}', '{"k":0,"z":1}'],
  ['{"a":1,"z":2}', '{"a":1,"k":0,"z":2}'],
  ['{"a":1,"k":"theirs","z":2}', '{"a":1,"k":0,"z":2}'],
  ['{"k":"theirs","z":2}', '{"k":0,"z":2}'],
  ['{"a":1,"k":"theirs"}', '{"a":1,"k":0}'],
  ['{"k":"theirs"}', '{"k":0}'],
  ['{"a":1,"a!":2}', '{"a":1,"a!":2,"k":0}'],
  ['{"a!":1,"a":2}', '{"a":2,"a!":1,"k":0}'],
  ['{ "z":[1 , 2] , "a":1 }', '{"a":1 ,"k":0,"z":[1 , 2] }'],
])('into %s our own key goes like this: %s', (text, expected) => {
  expect(ProfileText.read(text)?.with({ k: 0 })).toBe(expected);
});

test('Export Fields choose from a text as from an object', () => {
  const text = '{"a":{"b":9007199254740993,"c":2},"d":3}';
  const read = ProfileText.read(text);
  expect(read).toBeDefined();
  expect(bodiesOf(read ?? {}, ['a.b'])).toEqual(bodiesOf(parsed(text), ['a.b']));
  expect(bodiesOf(read ?? {}, ['a.b'])[0]).toContain('"data":{"a":{"b":9007199254740993},"segment_events":');
});
