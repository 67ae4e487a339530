import { expect, test } from '@jest/globals';
import { DeliveredMemory } from '../../../src/domain/dispatcher/delivered-memory.ts';

test('it knows what was delivered, and nothing else', () => {
  const memory = new DeliveredMemory();
  memory.remember('a');
  expect([memory.knows('a'), memory.knows('b')]).toEqual([true, false]);
});

test('what is carried is the same memory, in few bytes', () => {
  const memory = new DeliveredMemory();
  memory.remember('a long text of a delivery');
  const carried = memory.carry();
  expect(carried).toEqual([expect.stringMatching(/^[0-9a-f]{18}$/)]);
  const again = new DeliveredMemory(carried);
  expect([again.knows('a long text of a delivery'), again.knows('another')]).toEqual([true, false]);
  expect(again.carry()).toEqual(carried);
});

test('the oldest is forgotten first, what was carried before what came since', () => {
  const before = new DeliveredMemory();
  for (const text of ['1', '2']) before.remember(text);
  const memory = new DeliveredMemory(before.carry(), 3);
  for (const text of ['3', '4', '3', '5']) memory.remember(text);
  expect(['1', '2', '3', '4', '5'].map((text) => memory.knows(text))).toEqual([false, false, true, true, true]);
  expect(memory.size).toBe(3);
});
