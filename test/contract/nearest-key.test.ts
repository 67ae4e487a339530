import { expect, test } from '@jest/globals';
import { nearestKey, unknownKeys } from '../../src/contract/nearest-key.ts';

test.each([
  ['vpi', ['vip', 'newsletter'], 'vip'],
  ['froce', ['force'], 'force'],
  ['ipv', ['vip', 'newsletter'], undefined],
  ['vips', ['vip', 'newsletter'], 'vip'],
  ['news-letter', ['vip', 'newsletter'], 'newsletter'],
  ['letter', ['vip', 'newsletter'], 'newsletter'],
  ['le', ['vip', 'newsletter'], undefined],
  ['anything', [], undefined],
])('for %s, the nearest known key in %j is %s', (key, known, near) => {
  expect(nearestKey(key, known)).toBe(near);
});

test('the nearest of several near ones is meant', () => {
  expect(nearestKey('audience-12', ['audience-10', 'audience-123', 'audience-12x', 'audience-1'])).toBe('audience-10');
  expect(nearestKey('label', ['labels', 'label'])).toBe('label');
});

test('the check reports each unknown key, with the known key that was meant, or else with all of them', () => {
  expect(unknownKeys({ waiting: 1, deadlineMS: 2, zzz: 3 }, ['waiting', 'deadlineMs'])).toEqual([
    { field: 'deadlineMS', message: 'There is no such field. Did you mean "deadlineMs"?' },
    { field: 'zzz', message: 'There is no such field. The fields are waiting, deadlineMs.' },
  ]);
});
