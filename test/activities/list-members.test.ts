import { expect, test } from '@jest/globals';
import { createCountMembers, createListMembers } from '../../src/activities/list-members.ts';
import { MemorySource } from '../support/memory-source.ts';

const VIP = { id: 'a'.repeat(32), slug: 'vip', name: 'VIP' };
const numbered = (count: number, width: number) =>
  Array.from({ length: count }, (_, i) => String(i).padStart(width, '0'));

const sourceOf = (members: string[]) => new MemorySource({ audiences: [{ ...VIP, members }] });

/** Reads all pages, as a backfill does. */
async function pagesOf(source: MemorySource, limit: number, maxBytes: number): Promise<string[][]> {
  const listMembers = createListMembers(source);
  const pages: string[][] = [];
  for (let after: string | null = null; ;) {
    const { ids, next } = await listMembers(VIP.id, after, limit, maxBytes);
    pages.push([...ids]);
    if (next === undefined) return pages;
    after = next;
  }
}

test('pages of the limit, one after another, hold every member once', async () => {
  const pages = await pagesOf(sourceOf(numbered(25, 5)), 10, 100_000);
  expect(pages.map((ids) => ids.length)).toEqual([10, 10, 5]);
  expect(pages.flat()).toEqual(numbered(25, 5));
});

test.each([
  ['ascii', (id: string) => id],
  ['of two bytes a character', (id: string) => id.replaceAll('0', 'ü')],
])('with long ids that are %s, pages keep their bytes and nobody is missed', async (_, spell) => {
  const members = numbered(200, 200).map(spell);
  const pages = await pagesOf(sourceOf(members), 1000, 4096);
  expect(pages.flat()).toEqual(members);
  for (const ids of pages) expect(Buffer.byteLength(JSON.stringify(ids))).toBeLessThanOrEqual(4096 + 2);
  expect(Math.min(...pages.slice(0, -1).map((ids) => ids.length))).toBeGreaterThan(4);
});

test('an id that is larger than a page is a page of its own: it goes on', async () => {
  expect(await pagesOf(sourceOf(['x'.repeat(250), 'y']), 10, 100)).toEqual([['x'.repeat(250)], ['y']]);
});

test('ids that no trigger may have are left out, and the rest goes on', async () => {
  const members = ['1', '', 'x'.repeat(256), '2', 'half \ud800', 'x'.repeat(255)];
  expect((await pagesOf(sourceOf(members), 2, 100_000)).flat()).toEqual(['1', '2', 'x'.repeat(255)]);
});

test('an audience without members is one empty page', async () => {
  expect(await pagesOf(sourceOf([]), 10, 1000)).toEqual([[]]);
});

test('a source that fails fails the activity, so that it is tried again', async () => {
  const source = sourceOf(['1']);
  source.failure = new Error('down');
  await expect(createListMembers(source)(VIP.id, null, 10, 1000)).rejects.toThrow('down');
});

test('how many there are is the sum of what the source counts, and unknown when it does not count one of them', async () => {
  const other = { id: 'b'.repeat(32), slug: 'news', name: 'News' };
  const source = new MemorySource({
    audiences: [
      { ...VIP, members: ['1', '2'] },
      { ...other, members: ['1'] },
    ],
  });
  const count = createCountMembers(source);
  expect([await count([VIP.id, other.id]), await count([other.id]), await count([])]).toEqual([3, 1, 0]);
  expect(await count([VIP.id, 'c'.repeat(32)])).toBeNull();
});
