import { expect, test } from '@jest/globals';
import { lookUpEach } from '../../src/sources/look-up-each.ts';

const tooSlow = (reason: string): Error => new Error(reason);

test('after one has failed no other is begun, and the failure is told at once', async () => {
  const begun: number[] = [];
  let endSecond: () => void = () => undefined;
  const lookUp = async (item: number): Promise<void> => {
    begun.push(item);
    if (item === 1) throw new Error('down');
    await new Promise<void>((resolve) => (endSecond = resolve));
  };
  const all = lookUpEach({ items: [1, 2, 3, 4], atOnce: 2, budgetMs: 60_000, lookUp, tooSlow });
  await expect(all).rejects.toThrow('down');
  endSecond();
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toEqual([1, 2]);
});

test('all are looked up, so many at once and no more', async () => {
  let open = 0;
  let most = 0;
  const done: number[] = [];
  const items = Array.from({ length: 20 }, (_, i) => i);
  const lookUp = async (item: number): Promise<void> => {
    most = Math.max(most, ++open);
    await new Promise((resolve) => setImmediate(resolve));
    open--;
    done.push(item);
  };
  await lookUpEach({ items, atOnce: 3, budgetMs: 60_000, lookUp, tooSlow });
  expect([most, done.toSorted((a, b) => a - b)]).toEqual([3, items]);
});

test('when the time is over before all were begun, it says how far it came', async () => {
  const lookUp = async (): Promise<void> => undefined;
  const all = lookUpEach({ items: [1, 2], atOnce: 2, budgetMs: 0, lookUp, tooSlow });
  await expect(all).rejects.toThrow('only 0 of 2 in 0 s');
});
