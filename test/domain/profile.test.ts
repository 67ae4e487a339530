import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../src/contract/trigger.ts';
import { parseJson, stringifyJson } from '../../src/domain/json.ts';
import { legacyPayload, newPayload, type PayloadParts } from '../../src/domain/payload.ts';
import { fieldsOf, type Profile, ProfileText } from '../../src/domain/profile.ts';
import { jsonKey, jsonText, objectText, speltText } from './a-json-text.ts';

const parts: Omit<PayloadParts, 'profile'> = {
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
  [newPayload, legacyPayload].map((payload) => payload({ ...parts, profile, exportFields }));

test('the body made of a text is that made of its object, to the letter, whatever the order of its keys', () => {
  const canonical = jsonText.map((text) => stringifyJson(parseJson(text)));
  const members = fc.uniqueArray(fc.tuple(jsonKey, canonical), { selector: ([key]) => key, maxLength: 20 });
  fc.assert(
    fc.property(members, fc.boolean(), (members, isSorted) => {
      const text = objectText(isSorted ? members.toSorted(([a], [b]) => (a < b ? -1 : 1)) : members);
      expect(bodiesOf(profileIn(text))).toEqual(bodiesOf(parsed(text)));
    }),
    { numRuns: 1000 },
  );
});

test('however a text is spelt, the body says the same as that of its object', () => {
  const key = fc.oneof(jsonKey, fc.constantFrom('a', 'b'));
  const members = fc.array(fc.tuple(key, speltText), { maxLength: 8 });
  const spaces = fc.constantFrom('', ' ', '\t');
  fc.assert(
    fc.property(members, spaces, spaces, (members, before, after) => {
      const text = objectText(
        members.map(([key, json]) => [key, `${before}${json}${after}`]),
        (key) => `${after}${JSON.stringify(key)}${before}`,
      );
      expect(bodiesOf(profileIn(text)).map(parseJson)).toEqual(bodiesOf(parsed(text)).map(parseJson));
      expect(fieldsOf(profileIn(text))).toEqual(parsed(text));
    }),
    { numRuns: 1000 },
  );
});

test('what is read as a text is valid JSON, whatever was done to it', () => {
  const part = fc.constantFrom(...'{}[]",:\\ -+.eE0159utrnf\u0000\u0001\n\ud800', 'true', '\\u00e', '""', '1.');
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.oneof(part, fc.constant(''))), { maxLength: 2 });
  const members = fc.array(fc.tuple(fc.constantFrom('a', 'b', '\u00e9'), speltText), { maxLength: 3 });
  let [valid, broken] = [0, 0];
  fc.assert(
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
    { numRuns: 5000 },
  );
  expect(Math.min(valid, broken)).toBeGreaterThan(1000);
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
  const text = String.raw`{"a":1.0,"b":[ -0, 1E400 ],"c":"\u00e9\/","d":9007199254740993,"e":0.10000000000000000000001}`;
  expect(ProfileText.read(text)?.with({})).toBe(text);
});

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
