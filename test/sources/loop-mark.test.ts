import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type LoopMark, markPage, NO_PAGES } from '../../src/sources/loop-mark.ts';

/** After how many pages it says that one was there before; undefined: never. */
function foundAfter(pages: readonly string[]): number | undefined {
  let mark: LoopMark = NO_PAGES;
  for (const [index, page] of pages.entries()) {
    const next = markPage(mark, page);
    if (next === undefined) return index;
    mark = next;
  }
  return undefined;
}

test('pages that all differ are no circle', () => {
  expect(foundAfter(Array.from({ length: 3000 }, (_, i) => String(i)))).toBeUndefined();
});

test('a circle of any length, behind any beginning, is found soon', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 40 }), (beginning, length) => {
      const pages = Array.from({ length: 400 }, (_, i) =>
        String(i < beginning ? i : beginning + ((i - beginning) % length)),
      );
      expect(foundAfter(pages)).toBeLessThanOrEqual(3 * (beginning + length));
    }),
  );
});
