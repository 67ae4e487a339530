import { expect, test } from '@jest/globals';
import { BUCKETS, bucketOf, differenceOf } from '../../src/domain/membership-buckets.ts';

test('people spread over all parts, whatever their ids look like', () => {
  for (const spell of [
    (i: number) => String(i),
    (i: number) => `user-${i}@example.com`,
    (i: number) => String.fromCodePoint(0x4e00 + i),
  ]) {
    const sizes = Array.from({ length: BUCKETS }, () => 0);
    for (let i = 0; i < BUCKETS * 50; i++) sizes[bucketOf(spell(i))]! += 1;
    expect(Math.max(...sizes)).toBeLessThan(50 * 3);
    expect(Math.min(...sizes)).toBeGreaterThan(50 / 4);
  }
});

test('a person is in the part that snapshots on disk have them in', () => {
  // As it was when the first snapshots were written: another rule needs another version of them.
  expect(['', '1', '7076027172059065053', 'é', '😀'].map(bucketOf)).toEqual([197, 131, 154, 79, 134]);
});

test('of a part it is said who is new, who is missing, and what a held scan had to say of that', () => {
  const set = (...users: string[]) => new Set(users);
  expect(differenceOf({ base: set('a', 'b', 'c', 'd'), held: set('a', 'd'), scan: set('a', 'b', 'e') })).toEqual({
    enters: ['e'],
    exits: ['c', 'd'],
    back: 1,
    gone: 1,
  });
  expect(differenceOf({ base: set('a'), held: undefined, scan: set() })).toEqual({
    enters: [],
    exits: ['a'],
    back: 0,
    gone: 0,
  });
});
