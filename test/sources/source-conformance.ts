import { afterEach, describe, expect, test } from '@jest/globals';
import type { AudienceSource } from '../../src/activities/audience-source.ts';
import { answersOf } from '../../src/sources/source.ts';
import type { SourceContent } from '../support/memory-source.ts';
import { profileFields } from '../support/profile-fields.ts';

const VIP = 'a'.repeat(32);
const NEWSLETTER = 'b'.repeat(32);
const EMPTY = 'c'.repeat(32);
const PEOPLE = Array.from({ length: 2500 }, (_, i) => String(7_076_027_172_059_065_053n + BigInt(i) * 7919n));

const CONTENT: SourceContent = {
  audiences: [
    { id: EMPTY, slug: 'empty', name: 'Nobody', members: [] },
    { id: NEWSLETTER, slug: 'newsletter', name: 'Newsletter readers', members: PEOPLE },
    { id: VIP, slug: 'vip', name: 'VIP ★ customers', windowMinutes: 15, members: PEOPLE.slice(0, 7) },
  ],
  profiles: {
    ...Object.fromEntries(PEOPLE.map((user, i) => [user, { email: `p${i}@example.com`, visits: i }])),
    zoë: { name: 'Zoë "Z" O\\Brien\n', tags: ['ä', '★', '😀'], nested: { deep: [{ x: null }, true, 1.5] } },
    'with space:and"quote\\': { email: 'odd@example.com' },
    exact: {
      points: 9_007_199_254_740_993n,
      below: -12_345_678_901_234_567_890n,
      small: 5,
      list: [7_076_027_172_059_065_053n],
    },
    bare: {},
  },
};

/**
 * What every audience source must do.
 *
 * @param make a source with this content; what it opened is closed by the source's own `close`.
 */
export function conformsToAudienceSource(
  name: string,
  make: (content: SourceContent) => Promise<AudienceSource>,
): void {
  describe(`${name} as an audience source`, () => {
    let source: AudienceSource | undefined;
    const open = async (content = CONTENT) => (source = await make(content));
    afterEach(async () => {
      await source?.close();
      source = undefined;
    });

    test('lists its audiences in a stable order, with what their definitions say', async () => {
      const opened = await open();
      const listed = await opened.audiences();
      expect(await opened.audiences()).toEqual(listed);
      expect(
        listed.map(({ id, slug, name: title, windowMinutes }) => ({ id, slug, name: title, windowMinutes })),
      ).toEqual([
        { id: EMPTY, slug: 'empty', name: 'Nobody', windowMinutes: undefined },
        { id: NEWSLETTER, slug: 'newsletter', name: 'Newsletter readers', windowMinutes: undefined },
        { id: VIP, slug: 'vip', name: 'VIP ★ customers', windowMinutes: 15 },
      ]);
      for (const { slug, size } of listed) {
        if (size !== undefined) expect([slug, size]).toEqual([slug, { empty: 0, newsletter: 2500, vip: 7 }[slug]]);
      }
    });

    test('shows that it answers', async () => {
      await expect(answersOf(await open())).resolves.toBeUndefined();
    });

    test.each([1, 7, 999, 1000, 2499, 2500, 2501])('shows every member once in pages of %i', async (limit) => {
      const opened = await open();
      const audience = limit < 7 ? VIP : NEWSLETTER;
      const pages = await allPages(opened, audience, limit);
      expect(pages.flat()).toEqual(limit < 7 ? PEOPLE.slice(0, 7) : PEOPLE);
      for (const page of pages) expect(page.length).toBeLessThanOrEqual(limit);
    });

    test.each([1, 2, 100])(
      'shows everybody with a valid id, beside people without one, in pages of %i',
      async (limit) => {
        const opened = await open({
          audiences: [
            { id: VIP, slug: 'vip', name: 'VIP', members: ['', '1', 'x'.repeat(256), '2', 'y'.repeat(300), 'y'] },
          ],
          profiles: {},
        });
        const shown = (await allPages(opened, VIP, limit)).flat();
        expect(shown.filter((user) => user.length >= 1 && user.length <= 255).sort()).toEqual(['1', '2', 'y']);
      },
    );

    test('never names a place twice while one goes on', async () => {
      const opened = await open();
      const places: string[] = [];
      let after: string | undefined;
      do {
        const { next } = await opened.members(NEWSLETTER, after, 100);
        if (next !== undefined) places.push(next);
        after = next;
      } while (after !== undefined);
      expect(places.length).toBeGreaterThanOrEqual(24);
      expect(new Set(places).size).toBe(places.length);
    });

    test('has one empty page for an audience without members', async () => {
      const { ids, next } = await (await open()).members(EMPTY, undefined, 10);
      expect([ids, next]).toEqual([[], undefined]);
    });

    test('goes on where a cursor says, as often as it is asked, and with another limit', async () => {
      const opened = await open();
      const { next } = await opened.members(NEWSLETTER, undefined, 100);
      expect(next).toBeDefined();
      const again = await Promise.all([10, 10, 500].map((limit) => opened.members(NEWSLETTER, next, limit)));
      expect(again.map(({ ids }) => ids)).toEqual([
        PEOPLE.slice(100, 110),
        PEOPLE.slice(100, 110),
        PEOPLE.slice(100, 600),
      ]);
    });

    test.each(['d'.repeat(32), 'vip', ''])('says nothing of an audience that it does not know (%j)', async (id) => {
      const opened = await open();
      await expect(opened.members(id, undefined, 10)).rejects.toThrow();
      await expect(opened.isMember(id, PEOPLE[0] ?? '')).rejects.toThrow();
    });

    test('tells members from everybody else, by the whole id', async () => {
      const opened = await open();
      const [first = '', last = ''] = [PEOPLE[0], PEOPLE[6]];
      expect(await opened.isMember(VIP, first)).toBe(true);
      expect(await opened.isMember(VIP, last)).toBe(true);
      // In another audience, in none, a beginning, an end, a middle of a member's id, more than it, none.
      for (const user of [
        PEOPLE[7] ?? '',
        'nobody',
        first.slice(0, -1),
        first.slice(1),
        first.slice(3, 9),
        `${first}0`,
        '',
        `${first}\0`,
        `${first}\ud800`,
      ])
        expect([user, await opened.isMember(VIP, user)]).toEqual([user, false]);
      expect(await opened.isMember(NEWSLETTER, PEOPLE[7] ?? '')).toBe(true);
      expect(await opened.isMember(EMPTY, first)).toBe(false);
    });

    test('finds a member whose id has characters that JSON escapes', async () => {
      const odd = ['with space:and"quote\\', 'zoë', '\u2028', 'user'];
      const opened = await open({
        audiences: [{ id: VIP, slug: 'vip', name: 'VIP', members: odd }],
        profiles: {},
      });
      for (const user of odd) expect([user, await opened.isMember(VIP, user)]).toEqual([user, true]);
      for (const user of ['quote', 'zoe', '"', '\\'])
        expect([user, await opened.isMember(VIP, user)]).toEqual([user, false]);
    });

    test.each([0, -1, 1.5, NaN])('rejects a page of %d members', async (limit) => {
      await expect((await open()).members(VIP, undefined, limit)).rejects.toThrow(RangeError);
    });

    test.each([0, 1, 1000, 2500])('finds the profiles of %i people at once', async (count) => {
      const asked = PEOPLE.slice(0, count).reverse();
      const found = await profileFields(await open(), asked);
      expect(found.size).toBe(count);
      for (const user of asked) expect(found.get(user)).toEqual(CONTENT.profiles[user]);
    });

    test('leaves people out whom it does not know', async () => {
      const found = await (
        await open()
      ).profiles(['nobody', PEOPLE[3] ?? '', '', 'x'.repeat(255), '__proto__', 'half \ud800', 'nothing \0']);
      expect([...found.keys()]).toEqual([PEOPLE[3]]);
    });

    test('answers once for a person who is asked for twice', async () => {
      const found = await profileFields(await open(), ['bare', 'bare', 'bare']);
      expect([...found]).toEqual([['bare', {}]]);
    });

    test('gives profiles as they are: every character, and every digit of an integer', async () => {
      const asked = ['zoë', 'with space:and"quote\\', 'exact', 'bare'];
      const found = await profileFields(await open(), asked);
      for (const user of asked) expect(found.get(user)).toEqual(CONTENT.profiles[user]);
    });

    test('answers calls that overlap, each with its own', async () => {
      const opened = await open();
      const asked = Array.from({ length: 40 }, (_, i) => PEOPLE.slice(i * 50, i * 50 + 60));
      const [profiles, pages] = await Promise.all([
        Promise.all(asked.map((users) => opened.profiles(users))),
        Promise.all([300, 400, 500].map((limit) => allPages(opened, NEWSLETTER, limit))),
      ]);
      for (const [i, found] of profiles.entries())
        expect([...found.keys()].sort()).toEqual([...(asked[i] ?? [])].sort());
      for (const page of pages) expect(page.flat()).toEqual(PEOPLE);
    });

    test('says which audiences any person is in, if it can', async () => {
      const opened = await open();
      if (opened.memberships === undefined) return;
      const [both = '', one = ''] = [PEOPLE[6], PEOPLE[7]];
      const odd = ['', 'nobody', 'x'.repeat(255), 'half \ud800', 'nothing \0', both.slice(1), `${both}0`];
      const found = await opened.memberships([one, both, one, ...odd]);
      expect(found.get(both)).toEqual(['newsletter', 'vip']);
      expect(found.get(one)).toEqual(['newsletter']);
      for (const user of odd) expect([user, found.get(user) ?? []]).toEqual([user, []]);
      const many = await opened.memberships(PEOPLE.slice(0, 1000));
      const vips = [...many].filter(([, slugs]) => slugs.includes('vip')).map(([user]) => user);
      expect(vips.toSorted()).toEqual(PEOPLE.slice(0, 7));
      expect([...many.values()].every((slugs) => slugs.includes('newsletter'))).toBe(true);
    });

    test('has a lag that is a number of ms', async () => {
      expect((await open()).lagMs).toBeGreaterThanOrEqual(0);
    });
  });
}

async function allPages(source: AudienceSource, audience: string, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  let after: string | undefined;
  do {
    const page = await source.members(audience, after, limit);
    pages.push([...page.ids]);
    after = page.next;
  } while (after !== undefined);
  return pages;
}
