import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  createAudienceLists,
  createCountMembers,
  createListMembers,
  nextCursor,
  readCursor,
} from '../../src/activities/list-members.ts';
import { MemorySource } from '../support/memory-source.ts';
import { always } from '../support/properties.ts';

const anAudience = (n: number, name = '') => ({
  id: String(n).padStart(32, '0'),
  slug: `a${n}`,
  name,
  members: ['x', 'ann'],
});

test('all audiences are listed with their sizes', async () => {
  const { listAudiences } = createAudienceLists(new MemorySource({ audiences: [anAudience(1), anAudience(2)] }));
  expect(await listAudiences()).toMatchObject({ audiences: [{ slug: 'a1', size: 2 }, { slug: 'a2' }], total: 2 });
});

test('when an answer has no room for all audiences, the first are listed and all are counted', async () => {
  const audiences = Array.from({ length: 400 }, (_, n) => anAudience(n, 'é'.repeat(1000)));
  const listed = await createAudienceLists(new MemorySource({ audiences })).listAudiences();
  expect([listed.audiences[0]?.slug, listed.total]).toEqual(['a0', 400]);
  expect(Buffer.byteLength(JSON.stringify(listed))).toBeLessThan(300 * 1024);
});

test('the fields are those of the first members with a profile, by name, and none of nobody', async () => {
  const source = new MemorySource({
    audiences: [anAudience(1)],
    profiles: { ann: { email: 'ann@example.com', more: { a: 1 } } },
  });
  const { listProfileFields } = createAudienceLists(source);
  expect(await listProfileFields('a1')).toEqual(['email', 'more', 'more.a']);
  source.setProfile('x', { name: 'x', email: 'x@example.com' });
  expect(await listProfileFields('a1')).toEqual(['email', 'name', 'more', 'more.a']);
  expect(await listProfileFields('unknown')).toEqual([]);
  source.setProfile('ann', undefined);
  source.setProfile('x', undefined);
  expect(await listProfileFields('a1')).toEqual([]);
});

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

test('an id that is larger than a page gets a page of its own, so that reading continues', async () => {
  expect(await pagesOf(sourceOf(['x'.repeat(250), 'y']), 10, 100)).toEqual([['x'.repeat(250)], ['y']]);
});

test('ids that no trigger may have are left out, and the rest goes on', async () => {
  const members = ['1', '', 'x'.repeat(256), '2', 'half \ud800', 'x'.repeat(255)];
  expect((await pagesOf(sourceOf(members), 2, 100_000)).flat()).toEqual(['1', '2', 'x'.repeat(255)]);
});

test('a member who is on a page several times is listed once, and a non-text id is left out', async () => {
  const source = sourceOf(['1', '2', '3']);
  // What a source has read as JSON may be anything, whatever its type says.
  source.bend = ({ ids }) => ({ ids: [...ids, '2', null, 4, {}, '1'] as string[] });
  expect(await createListMembers(source)(VIP.id, null, 10, 1000)).toEqual({ ids: ['1', '2', '3'] });
});

test('a source may give more members than requested, unless they are too much for a page', async () => {
  const source = sourceOf([]);
  source.bend = () => ({ ids: numbered(50, 10) });
  expect((await createListMembers(source)(VIP.id, null, 10, 100_000)).ids).toHaveLength(50);
  await expect(createListMembers(source)(VIP.id, null, 10, 500)).rejects.toThrow(/gave 50 members .* at most 10/);
  expect(source.calls.members).toBe(2);
});

/** A source of nine places, of which `leads` says what comes behind each. */
function leading(leads: (place: number) => number): MemorySource {
  const source = sourceOf([]);
  source.bend = (_, after) => {
    const next = leads(Number(after ?? 0));
    return next > 9 ? { ids: [`at ${after ?? 0}`] } : { ids: [`at ${after ?? 0}`], next: String(next) };
  };
  return source;
}

test.each<[what: string, leads: (place: number) => number, mostPages: number]>([
  ['one place back', (place) => (place === 6 ? 5 : place + 1), 12],
  ['back to the first place', (place) => (place === 9 ? 1 : place + 1), 27],
])('a source that leads to %s is found circular after some pages, by any reader', async (_, leads, mostPages) => {
  const source = leading(leads);
  let after: string | null = null;
  let pages = 0;
  const reading = async () => {
    for (; pages < 100; pages++) after = (await createListMembers(source)(VIP.id, after, 10, 1000)).next ?? null;
  };
  await expect(reading()).rejects.toThrow(/is circular/);
  expect(pages).toBeLessThanOrEqual(mostPages);
  // Asked again, it is no better, until the source is.
  await expect(createListMembers(source)(VIP.id, after, 10, 1000)).rejects.toMatchObject({ name: 'SourceMisbehaves' });
  source.bend = () => ({ ids: ['the end'] });
  expect(await createListMembers(source)(VIP.id, after, 10, 1000)).toEqual({ ids: ['the end'] });
});

test('a circular source that is fixed is read to its end, even through places that were there before', async () => {
  const source = leading((place) => (place === 8 ? 3 : place + 1));
  const seen = new Set<string>();
  let after: string | null = null;
  const reading = async () => {
    for (let pages = 0; pages < 100; pages++) {
      const { ids, next } = await createListMembers(source)(VIP.id, after, 10, 1000);
      for (const id of ids) seen.add(id);
      if (next === undefined) return;
      after = next;
    }
    throw new Error('It comes to no end.');
  };
  await expect(reading()).rejects.toThrow(/is circular/);
  source.bend = leading((place) => place + 1).bend;
  await reading();
  expect([...seen].sort()).toEqual(Array.from({ length: 10 }, (_, i) => `at ${i}`));
});

/** After how many pages it says that one was there before; undefined: never. */
function foundAfter(places: readonly string[]): number | undefined {
  let cursor = readCursor(null);
  for (const [index, place] of places.entries()) {
    const next = nextCursor(cursor, place);
    if (next === undefined) return index;
    cursor = readCursor(next);
  }
  return undefined;
}

test('places that all differ are not circular', () => {
  expect(foundAfter(Array.from({ length: 3000 }, (_, i) => String(i)))).toBeUndefined();
});

test('a circle of any length, behind any beginning, is found soon', () => {
  always(
    fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 1, max: 40 }), (beginning, length) => {
      const places = Array.from({ length: 400 }, (_, i) =>
        String(i < beginning ? i : beginning + ((i - beginning) % length)),
      );
      expect(foundAfter(places)).toBeLessThanOrEqual(3 * (beginning + length));
    }),
  );
});

test('a page may be read again, as often as it is asked for', async () => {
  const listMembers = createListMembers(sourceOf(numbered(50, 3)));
  const first = await listMembers(VIP.id, null, 10, 1000);
  const second = await listMembers(VIP.id, first.next ?? null, 10, 1000);
  expect(await listMembers(VIP.id, first.next ?? null, 10, 1000)).toEqual(second);
  expect(await listMembers(VIP.id, null, 10, 1000)).toEqual(first);
});

test('places go back to the source exactly as it spelt them, including those of a backfill that began before', async () => {
  const seen: (string | undefined)[] = [];
  const places = ['a:1', '', '3.x', '1.abcdefghijkl', '☃\n.', '{"json":1}'];
  const source = sourceOf([]);
  source.bend = (_, after) => {
    seen.push(after);
    const next = places[seen.length - 1];
    return next === undefined ? { ids: [] } : { ids: [], next };
  };
  const listMembers = createListMembers(source);
  let after: string | null = '5:7:mark:last';
  while (after !== null) after = (await listMembers(VIP.id, after, 10, 1000)).next ?? null;
  expect(seen).toEqual(['5:7:mark:last', ...places]);
});

test('the member count is the sum over all audiences, and unknown if one of them has no count', async () => {
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
