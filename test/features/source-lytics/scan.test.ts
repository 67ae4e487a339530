import { expect, test } from '@jest/globals';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import type { Answered } from '../../sources/a-json-server.ts';
import { accountOf, once, opened, PEOPLE, refusal, VIP } from './a-lytics.ts';
import { shortestWindow } from '../../../src/features/source-lytics/segments.ts';

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

test('people without an id are left out and reported; when nobody has one, the field is named wrongly', async () => {
  const told: string[] = [];
  const withIds = Object.fromEntries(PEOPLE.slice(0, 150).map((user, i) => [user, i === 149 ? { email: 'a@x' } : {}]));
  const lytics = await accountOf(Object.keys(withIds), withIds);
  const source = opened(lytics, { userField: 'email' }, { onProblem: (text) => told.push(text) });
  expect((await source.members(VIP, undefined, 100)).ids).toEqual(['a@x']);
  expect(told).toEqual(['Audience vip, some rows have no id of a person and are left out.']);
  await expect(opened(lytics, { userField: 'emial' }).members(VIP, undefined, 100)).rejects.toThrow(
    /None of the 150 people in "vip" has the field .*"userField"/,
  );
});

test.each([1, 3, 50])(
  'a scan of %i people in which nobody has an id is an error, however its pages are cut',
  async (count) => {
    const lytics = await accountOf(PEOPLE.slice(0, count));
    await expect(allFrom(opened(lytics, { userField: 'emial', pageSize: 2 }), undefined, 2)).rejects.toThrow(
      new RegExp(`None of the ${count} people in "vip" has the field .*"userField"`),
    );
  },
);

test.each<[how: string, stale: Answered]>([
  ['with 400', refusal(400, 'start')],
  ['with 404', refusal(404, 'start')],
  ['with HTTP 200 and a status in the answer', { json: { status: '410', message: 'gone', data: null } }],
  ['by an end before the end', { json: { status: 200, message: 'success', _next: '', data: null } }],
])('a scan that Lytics does not continue, answered %s, is no end: the error says what to do', async (_, stale) => {
  const lytics = await accountOf();
  lytics.stale = stale;
  const source = opened(lytics);
  const first = await source.members(VIP, undefined, 400);
  lytics.expire();
  const scans = lytics.asked.length;
  await expect(source.members(VIP, first.next, 200)).rejects.toThrow(
    /does not continue the scan of "vip" after row 400 .*begin it again/,
  );
  expect(lytics.asked.length - scans).toBe(1);
});

test('an end at which some are missing is reported', async () => {
  const told: string[] = [];
  const lytics = await accountOf(PEOPLE.slice(0, 100));
  lytics.total = 500;
  const source = opened(lytics, {}, { onProblem: (text) => told.push(text) });
  expect(await allFrom(source, undefined)).toEqual(PEOPLE.slice(0, 100));
  expect(told).toContainEqual(expect.stringMatching(/ended after 100 rows, but Lytics says that there are 500/));
});

test('an empty end shortly before the end is reported, too', async () => {
  const told: string[] = [];
  const lytics = await accountOf(PEOPLE.slice(0, 200));
  lytics.total = 104;
  const source = opened(lytics, {}, { onProblem: (text) => told.push(text) });
  const first = await source.members(VIP, undefined, 100);
  once({ json: { status: 200, message: 'success', _next: '', data: null } })(lytics);
  expect(await allFrom(source, first.next, 100)).toEqual([]);
  expect(told).toContainEqual(expect.stringMatching(/ended after 100 rows, but Lytics says that there are 104/));
});

test('the source refuses a circular scan of any length, but takes different pages under one "_next"', async () => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  const pageOf = (next: string, user: string): Answered => ({
    json: { status: 200, message: 'success', _next: next, total: 9, data: [{ _uid: user }] },
  });
  for (let i = 0; i < 50; i++) once(pageOf('a', '1'), pageOf('b', '2'), pageOf('c', '3'))(lytics);
  await expect(source.members(VIP, undefined, 5000)).rejects.toThrow(/is circular/);
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

const none = (): string => '';

test.each<[ql: string, minutes: number | undefined]>([
  ['FILTER last_visit > "now-15m"', 15],
  ["FILTER last_visit > 'now-24h'", 24 * 60],
  ['FILTER AND (a > "now-3M", b > "now-4w", c > "now-1y")', 4 * 7 * 24 * 60],
  ['FILTER last_visit BETWEEN "now-30d" AND "now-2d"', 2 * 24 * 60],
  ['FILTER event_date < "now+90s"', 1.5],
  ['FILTER timewindow(visits, 5, 7)', 7 * 24 * 60],
  ['FILTER a > "now-1d/d"', 24 * 60],
  ['FILTER a > "now-0d"', undefined],
  ['FILTER created > "2016-04-02T12:00:00Z"', undefined],
  ['FILTER AND (url CONTAINS "know-15m-more", city = "now-5minutes")', undefined],
  ['', undefined],
])('%s looks over %s minutes', (ql, minutes) => {
  expect(shortestWindow(ql, none)).toBe(minutes);
});

test('the window of included segments counts, however deep, and once if a segment includes itself', () => {
  const definitions: Record<string, string> = {
    a: 'FILTER AND (INCLUDE `b`, NOT INCLUDE a)',
    b: 'FILTER AND (INCLUDE a, x > "now-20m")',
  };
  const definition = (slug: string): string => definitions[slug] ?? '';
  expect(shortestWindow('FILTER AND (include a, y > "now-2h", INCLUDE unknown)', definition)).toBe(20);
});
