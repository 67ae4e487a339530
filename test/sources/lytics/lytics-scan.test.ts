import { expect, test } from '@jest/globals';
import type { AudienceSource } from '../../../src/sources/source.ts';
import type { Answered } from '../a-json-server.ts';
import { accountOf, once, opened, PEOPLE, refusal, VIP } from './a-lytics.ts';

/** Pages until the end, as a backfill reads them. */
async function allFrom(source: AudienceSource, after: string | undefined, limit = 200): Promise<string[]> {
  const ids: string[] = [];
  let next = after;
  do {
    const page = await source.members(VIP, next, limit);
    ids.push(...page.ids);
    next = page.next;
  } while (next !== undefined);
  return ids;
}

test('people without an id are left out and told of; when nobody has one, the field is named wrongly', async () => {
  const told: string[] = [];
  const withIds = Object.fromEntries(PEOPLE.slice(0, 150).map((user, i) => [user, i === 149 ? { email: 'a@x' } : {}]));
  const lytics = await accountOf(Object.keys(withIds), withIds);
  const source = opened(lytics, { userField: 'email' }, { onProblem: (text) => told.push(text) });
  expect((await source.members(VIP, undefined, 100)).ids).toEqual(['a@x']);
  expect(told).toEqual(['Audience vip, some rows have no id of a person and are left out.']);
  await expect(opened(lytics, { userField: 'emial' }).members(VIP, undefined, 100)).rejects.toThrow(
    /None of the first 150 people in "vip" has the field .*"userField"/,
  );
});

test.each<[how: string, stale: Answered]>([
  ['with 400', refusal(400, 'start')],
  ['with 404', refusal(404, 'start')],
  ['with HTTP 200 and a status in the answer', { json: { status: '410', message: 'gone', data: null } }],
  ['by an end before the end', { json: { status: 200, message: 'success', _next: '', data: null } }],
])('a "_next" that is not recent any more, answered %s, loses nobody and repeats nobody', async (_, stale) => {
  const told: string[] = [];
  const lytics = await accountOf();
  lytics.stale = stale;
  const source = opened(lytics, {}, { onProblem: (text) => told.push(text) });
  const first = await source.members(VIP, undefined, 400);
  lytics.expire();
  // Who came and went meanwhile moves the place a little.
  const people = PEOPLE.filter((user) => user !== 'p7');
  people.unshift('new');
  lytics.members.set(VIP, people);
  const second = await source.members(VIP, first.next, 200);
  lytics.expire();
  const rest = await allFrom(source, second.next);
  expect([...first.ids, ...second.ids, ...rest]).toEqual(PEOPLE);
  expect(told).toEqual([expect.stringMatching(/^Audience vip, Lytics did not continue a scan/)]);
});

test('a scan that is not recent any more before every page is read to its end all the same', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  const ids: string[] = [];
  let next: string | undefined;
  do {
    const page = await source.members(VIP, next, 100);
    ids.push(...page.ids);
    next = page.next;
    lytics.expire();
  } while (next !== undefined);
  expect(ids).toEqual(PEOPLE);
});

test('a place is found again when the last member read has left, and by pages of any size', async () => {
  const lytics = await accountOf();
  const { ids, next } = await opened(lytics).members(VIP, undefined, 300);
  lytics.expire();
  const left = ids.at(-1);
  lytics.members.set(
    VIP,
    PEOPLE.filter((user) => user !== left),
  );
  // Every page is over before it came to the place: the cursor has to carry the search.
  const hasty = opened(lytics, { pageSize: 30 }, { pageBudgetMs: 0 });
  expect(await allFrom(hasty, next)).toEqual(PEOPLE.slice(300));
});

test.each<[what: string, order: (people: string[]) => string[]]>([
  ['everybody who was read last has left', (people) => people.filter((_, i) => i < 1990 || i >= 2000)],
  ['those who were not read stand in front', (people) => [...people.slice(2000), ...people.slice(0, 2000)]],
  ['the order is turned round', (people) => people.toReversed()],
  ['there is no order', (people) => people.toSorted((a, b) => (a.slice(-1) < b.slice(-1) ? -1 : 1))],
])('when %s, everybody is given once more: nobody is lost', async (_, order) => {
  const told: string[] = [];
  const many = Array.from({ length: 2500 }, (_, i) => `m${i}`);
  const lytics = await accountOf(many);
  const source = opened(lytics, {}, { onProblem: (text) => told.push(text) });
  const first = await source.members(VIP, undefined, 2000);
  lytics.expire();
  lytics.members.set(VIP, order(many));
  const rest = await allFrom(source, first.next);
  expect(new Set([...first.ids, ...rest])).toEqual(new Set(many));
  expect(told).toContainEqual(expect.stringMatching(/everybody is sent again/));
});

test('an order that was turned round is another one, also where the place of the last is nearly the same', async () => {
  const lytics = await accountOf(PEOPLE.slice(0, 400));
  const source = opened(lytics);
  const first = await source.members(VIP, undefined, 200);
  lytics.expire();
  lytics.members.set(VIP, PEOPLE.slice(0, 400).toReversed());
  const rest = await allFrom(source, first.next);
  expect(new Set([...first.ids, ...rest]).size).toBe(400);
});

test('a scan that Lytics never continues is given up with an explanation, and not restarted forever', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  const { next } = await source.members(VIP, undefined, 200);
  lytics.expire();
  lytics.stale = refusal(400, 'start');
  const scans = lytics.asked.length;
  // Every page but the first of a scan is refused.
  const refuse = (): void => {
    lytics.before.push(({ url }) => (url.searchParams.has('start') ? lytics.stale : undefined));
  };
  for (let i = 0; i < 100; i++) refuse();
  await expect(source.members(VIP, next, 200)).rejects.toThrow(/does not continue .*even after 4 restarts/);
  expect(lytics.asked.length - scans).toBeLessThan(20);
});

test('an end that comes early twice is the end, and is told', async () => {
  const told: string[] = [];
  const lytics = await accountOf(PEOPLE.slice(0, 100));
  lytics.total = 500;
  const page = (next: string, users: readonly string[]): Answered => ({
    json: { status: 200, message: 'success', _next: next, total: 500, data: users.map((_uid) => ({ _uid })) },
  });
  const source = opened(lytics, {}, { onProblem: (text) => told.push(text) });
  await source.audiences();
  for (const next of 'abcdef') once(page(next, PEOPLE.slice(0, 100)), page('', []))(lytics);
  expect(await allFrom(source, undefined)).toEqual(PEOPLE.slice(0, 100));
  // Begun anew once: two scans of two pages.
  expect(lytics.before).toHaveLength(8);
  expect(told).toContainEqual(expect.stringMatching(/ended after 100 rows, but Lytics says that there are 500/));
});

test('a scan that leads in a circle is refused, whatever its length; pages that differ under one "_next" are none', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  const pageOf = (next: string, user: string): Answered => ({
    json: { status: 200, message: 'success', _next: next, total: 9, data: [{ _uid: user }] },
  });
  for (let i = 0; i < 50; i++) once(pageOf('a', '1'), pageOf('b', '2'), pageOf('c', '3'))(lytics);
  await expect(source.members(VIP, undefined, 5000)).rejects.toThrow(/leads in a circle/);
  lytics.before.length = 0;
  once(...PEOPLE.slice(0, 8).map((user) => pageOf('same', user)), pageOf('', 'p8'))(lytics);
  expect((await source.members(VIP, undefined, 5000)).ids).toEqual(PEOPLE.slice(0, 9));
});

test.each<[what: string, data: unknown, message: RegExp]>([
  ['more rows than asked for', PEOPLE.slice(0, 101).map((_uid) => ({ _uid })), /101 rows where 100 were asked for/],
  ['rows that are none', ['p1'], /no list of people/],
])('%s are refused', async (_, data, message) => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  once({ json: { status: 200, message: 'success', _next: '', data } })(lytics);
  await expect(source.members(VIP, undefined, 1000)).rejects.toThrow(message);
});

test('a "_next" that is too long to be kept is refused', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  const json = { status: 200, message: 'success', _next: 'x'.repeat(5000), data: [{ _uid: '1' }] };
  once({ json })(lytics);
  await expect(source.members(VIP, undefined, 1)).rejects.toThrow(/"_next" has more than 4096 characters/);
});

test('an audience that is deleted while it is read is refused, and so is a text that is no cursor', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  once(refusal(404, 'gone'))(lytics);
  await expect(source.members(VIP, undefined, 100)).rejects.toMatchObject({ status: 404 });
  await expect(source.members(VIP, 'page-2', 100)).rejects.toThrow(/"page-2" is not a cursor/);
});

test('a page is cut short when its time is over, and the next one continues it', async () => {
  const lytics = await accountOf();
  const source = opened(lytics, {}, { pageBudgetMs: 0 });
  const { ids, next } = await source.members(VIP, undefined, 1000);
  expect(ids).toEqual(PEOPLE.slice(0, 100));
  expect(next).toBeDefined();
  expect(await allFrom(source, undefined, 1000)).toEqual(PEOPLE);
});
