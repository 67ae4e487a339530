import { expect, test } from '@jest/globals';
import { KeySearch } from '../../../src/client/push/key-search.ts';

const TRIGGER = ['user', 'at', 'profile'];

test.each([
  [{ profil: 1 }, { key: 'profil', near: 'profile' }],
  [{ Profile: 1 }, { key: 'Profile', near: 'profile' }],
  [
    { profile: null, proflie: 1 },
    { key: 'proflie', near: 'profile' },
  ],
  [{ AT: 1 }, { key: 'AT', near: 'at' }],
  [{ users: 1 }, { key: 'users', near: 'user' }],
])('%j lacks a key, and most likely misspells it', (given, found) => {
  expect(new KeySearch(TRIGGER).misspelt(given)).toEqual(found);
});

test.each([
  { lat: 48.2, t: 1 },
  { profile: {}, profiles: 2 },
  { username: 'x' },
  { score: 5 },
  { ['x'.repeat(400)]: 1 },
  {},
])('a key of its own is no misspelling: %j', (given) => {
  expect(new KeySearch(TRIGGER).misspelt(given)).toBeUndefined();
});

test('an object with a key of its own in place of one that is given elsewhere misspells none', () => {
  expect(new KeySearch(TRIGGER, ['profile']).misspelt({ profil: 1 })).toBeUndefined();
});

/** Objects of as many keys as one request may have, no two alike, each of the length of `profile`. */
function foreignKeys(items: number, keys: number): Readonly<Record<string, unknown>>[] {
  const key = (number: number): string => `x${number.toString(36).padStart(5, 'x')}x`;
  return Array.from({ length: items }, (_, item) =>
    Object.fromEntries(Array.from({ length: keys }, (_, index) => [key(item * keys + index), 1])),
  );
}

test('[S44] of 10,000 items with the same 23 keys, each key is compared once', () => {
  const [item = {}] = foreignKeys(1, 23);
  const search = new KeySearch(TRIGGER);
  for (let items = 0; items < 10_000; items++) expect(search.misspelt(item)).toBeUndefined();
  expect(search.compared).toBe(23);
});

test('[S44] of 230,000 different keys in one request, a thousand are compared, and the other items are not accepted', () => {
  const search = new KeySearch(TRIGGER);
  const found = foreignKeys(10_000, 23).map((item) => search.misspelt(item));
  expect(search.compared).toBe(1_000);
  expect(found.indexOf('too many keys')).toBe(Math.floor(1_000 / 23));
  expect(found.at(-1)).toBe('too many keys');
});

test('[S44] an object of 240,000 keys has at most a thousand compared', () => {
  const [item = {}] = foreignKeys(1, 240_000);
  const search = new KeySearch(TRIGGER);
  expect(search.misspelt(item)).toBe('too many keys');
  expect(search.compared).toBe(1_000);
});
