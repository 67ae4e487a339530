import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { JsonObject } from '../../src/contract/trigger.ts';
import { parseJson } from '../../src/domain/json.ts';
import { legacyPayload, newPayload, type PayloadParts } from '../../src/domain/payload.ts';

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
