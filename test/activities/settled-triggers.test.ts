import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SettledTriggers } from '../../src/activities/settled-triggers.ts';
import { always } from '../support/properties.ts';

test('what was delivered is told as ranges', () => {
  const settled = new SettledTriggers(8, undefined);
  for (const index of [5, 0, 1, 2, 7]) settled.deliver(index);
  expect(settled.progress()).toEqual({
    delivered: [
      [0, 2],
      [5, 5],
      [7, 7],
    ],
    failed: [],
  });
});

test('whatever is settled, the next attempt knows it from what was told', () => {
  const places = fc.uniqueArray(fc.nat(49));
  always(
    fc.property(places, places, (delivered, failed) => {
      const settled = new SettledTriggers(50, undefined);
      for (const index of delivered) settled.deliver(index);
      for (const index of failed) if (!settled.isDelivered(index)) settled.failed.set(index, { index, durationMs: 1 });
      const again = new SettledTriggers(50, structuredClone(settled.progress()));
      expect(again.progress()).toEqual(settled.progress());
      expect(again.unsent()).toEqual(settled.unsent());
      expect(again.unsent().length + new Set([...delivered, ...failed]).size).toBe(50);
    }),
  );
});

test('what was halved is told until it is delivered', () => {
  const settled = new SettledTriggers(3, { delivered: [[0, 0]], failed: [], halved: [[1, 2]] });
  expect(settled.progress()).toMatchObject({ halved: [[1, 2]] });
  settled.halved = [
    [0, 4],
    [1, 1],
    [2, 4],
  ];
  expect(settled.progress()).toEqual({
    delivered: [[0, 0]],
    failed: [],
    halved: [
      [1, 1],
      [2, 4],
    ],
  });
  settled.deliver(1);
  settled.deliver(2);
  expect(settled.progress()).not.toHaveProperty('halved');
});
