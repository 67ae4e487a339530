import { expect, test } from '@jest/globals';
import type { Json, JsonObject } from '../../src/contract/trigger.ts';
import { fieldsOf } from '../../src/domain/message.ts';
import { ProfileCache } from '../../src/sources/profile-cache.ts';

const fieldsIn = (cache: ProfileCache, user: string): JsonObject | undefined => {
  const profile = cache.get(user);
  return profile && fieldsOf(profile);
};

test('what was put in comes out, digit for digit, and names that only a parser does justice', () => {
  const cache = new ProfileCache({ maxBytes: 10_000, maxAgeMs: 1000 });
  const profile = { points: 9_007_199_254_740_993n, 'a"b': 1, nested: { ä: [null] } };
  cache.set('1', profile);
  expect(fieldsIn(cache, '1')).toEqual(profile);
  expect(cache.get('2')).toBeUndefined();
});

test('it never holds more bytes than it may; who was asked for longest ago leaves', () => {
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 1000 });
  for (const user of ['1', '2', '3', '4']) cache.set(user, { text: 'x'.repeat(250) });
  expect(cache.bytes).toBeLessThanOrEqual(3000);
  expect(['1', '2', '3', '4'].map((user) => cache.get(user) !== undefined)).toEqual([true, true, true, true]);
  cache.get('1');
  cache.set('5', { text: 'x'.repeat(250) });
  expect(['1', '2', '3', '4', '5'].map((user) => cache.get(user) !== undefined)).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
  for (let i = 0; i < 1000; i++) cache.set('5', { i });
  expect(cache.bytes).toBeLessThanOrEqual(3000);
  cache.set('6', { text: 'x'.repeat(5000) });
  expect(cache.get('6')).toBeUndefined();
  expect(cache.get('1')).toBeDefined();
});

test('a profile that is too old is not given, and not held', () => {
  let nowMs = 0;
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 1000, nowMs: () => nowMs });
  cache.set('1', {});
  nowMs = 999;
  expect(cache.get('1')).toBeDefined();
  nowMs = 1000;
  expect(cache.get('1')).toBeUndefined();
  expect(cache.bytes).toBe(0);
});

test('without an age, none is held', () => {
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 0, nowMs: () => 0 });
  cache.set('1', {});
  expect(cache.bytes).toBe(0);
});

test('what is nested too deep to be written is not held, and breaks nothing', () => {
  // Not for JSON.stringify, which writes any depth on Node 26.
  let deep: Json = 2n ** 64n;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const cache = new ProfileCache({ maxBytes: 10_000_000, maxAgeMs: 1000 });
  cache.set('1', { deep });
  expect(cache.get('1')).toBeUndefined();
});
