import { expect, test } from '@jest/globals';
import { ArrivalMemory } from '../../../src/domain/dispatcher/arrival-memory.ts';
import { REMEMBERED_ARRIVALS } from '../../../src/domain/limits.ts';

test('it knows who came at or after a time', () => {
  const memory = new ArrivalMemory();
  memory.remember('a', 100);
  expect([memory.knows('a', 99), memory.knows('a', 100), memory.knows('a', 101), memory.knows('b', 0)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('only the last arrival of somebody counts, and takes one place', () => {
  const memory = new ArrivalMemory();
  memory.remember('a', 100);
  memory.remember('a', 200);
  expect([memory.size, memory.knows('a', 150)]).toEqual([1, true]);
});

test('it forgets the oldest first, and says up to when it may have', () => {
  const memory = new ArrivalMemory();
  for (let i = 1; i <= REMEMBERED_ARRIVALS; i++) memory.remember(`person ${i}`, i);
  expect(memory.forgottenUntil).toBe(0);
  memory.remember('person 1', 9999); // Came again: now the youngest.
  memory.remember('one more', 10_000);
  expect(memory.size).toBe(REMEMBERED_ARRIVALS);
  expect([memory.knows('person 1', 0), memory.knows('person 2', 0), memory.knows('person 3', 0)]).toEqual([
    true,
    false,
    true,
  ]);
  expect(memory.forgottenUntil).toBe(2);
});

test('forgetting old ones says so too', () => {
  const memory = new ArrivalMemory();
  for (const at of [10, 20, 30]) memory.remember(`at ${at}`, at);
  memory.forgetBefore(30);
  expect([memory.size, memory.forgottenUntil, memory.knows('at 30', 0)]).toEqual([1, 20, true]);
});

test('what is carried is the same memory', () => {
  const memory = new ArrivalMemory([], 7);
  memory.remember('a', 100);
  const again = new ArrivalMemory(memory.carry(), memory.forgottenUntil);
  expect([again.knows('a', 100), again.knows('b', 0), again.forgottenUntil]).toEqual([true, false, 7]);
});

test('what was carried is forgotten before what came since', () => {
  const before = new ArrivalMemory([], 0, 3);
  for (const at of [1, 2]) before.remember(`then ${at}`, at);
  const memory = new ArrivalMemory(before.carry(), 0, 3);
  for (const at of [3, 4]) memory.remember(`now ${at}`, at);
  expect(['then 1', 'then 2', 'now 3', 'now 4'].map((text) => memory.knows(text, 0))).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect([memory.size, memory.forgottenUntil]).toEqual([3, 1]);
});
