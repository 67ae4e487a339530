import { expect, test } from '@jest/globals';
import { nearestKey } from '../../src/contract/nearest-key.ts';

test.each([
  ['vpi', ['vip', 'newsletter'], undefined],
  ['vips', ['vip', 'newsletter'], 'vip'],
  ['news-letter', ['vip', 'newsletter'], 'newsletter'],
  ['letter', ['vip', 'newsletter'], 'newsletter'],
  ['le', ['vip', 'newsletter'], undefined],
  ['anything', [], undefined],
])('of what is known, %s is nearest to %j: %s', (key, known, near) => {
  expect(nearestKey(key, known)).toBe(near);
});

test('the nearest of several near ones is meant', () => {
  expect(nearestKey('audience-12', ['audience-10', 'audience-123', 'audience-12x', 'audience-1'])).toBe('audience-10');
  expect(nearestKey('label', ['labels', 'label'])).toBe('label');
});
