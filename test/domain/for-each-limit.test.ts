import { expect, test } from '@jest/globals';
import { forEachLimit } from '../../src/domain/for-each-limit.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([
  [10, 3, 3],
  [0, 8, 0],
])('%i items are each taken once, at most %i at a time', async (count, most, expected) => {
  const items = Array.from({ length: count }, (_, i) => i);
  const taken: number[] = [];
  let underWay = 0;
  let mostUnderWay = 0;
  await forEachLimit(items, most, async (item) => {
    taken.push(item);
    mostUnderWay = Math.max(mostUnderWay, ++underWay);
    await turn();
    underWay--;
  });
  expect(taken).toEqual(items);
  expect(mostUnderWay).toBe(expected);
});

test('when one fails, what is under way ends before it rejects', async () => {
  const ended: number[] = [];
  const failing = forEachLimit([1, 2, 3], 2, async (item) => {
    if (item === 1) throw new Error('one fails');
    await turn();
    ended.push(item);
  });
  await expect(failing).rejects.toThrow('one fails');
  expect(ended).toEqual([2, 3]);
});
