import { expect, test } from '@jest/globals';
import { openHttpSource } from '../../../src/features/source-http/source.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import { answersOf, SourceUnavailable } from '../../../src/sources/source.ts';
import type { SourceContent } from '../../support/memory-source.ts';
import { profileFields } from '../../support/profile-fields.ts';
import { type Answered, type JsonServer, startJsonServer } from '../../sources/a-json-server.ts';
import { conformsToAudienceSource } from '../../sources/source-conformance.ts';
import { BY_CURSOR, BY_LINK, opened, PATIENT, settings, startPeopleService, TOKEN } from './a-people-service.ts';
import { filled } from '../../../src/features/source-http/audiences.ts';

const VIP = 'a'.repeat(32);
const PEOPLE = Array.from({ length: 1050 }, (_, i) => `p${i}`);

/** Thousands of look-ups at once on a loaded machine take longer than a configuration lets one take. */
const TIME_ENOUGH = { timeoutMs: 60_000 };

conformsToAudienceSource('the HTTP source, by cursors', async (content) =>
  openHttpSource({ ...settings((await startPeopleService(content)).url), ...TIME_ENOUGH }, PATIENT),
);

conformsToAudienceSource('the HTTP source, by links, with audiences of the configuration', async (content) => {
  const audiences = content.audiences.map(({ id, slug, name, windowMinutes }) => ({ id, slug, name, windowMinutes }));
  const { url } = await startPeopleService(content);
  return openHttpSource({ ...settings(url, { ...BY_LINK, audiences }), ...TIME_ENOUGH }, PATIENT);
});

const contentOf = (members: readonly string[], profiles: SourceContent['profiles'] = {}): SourceContent => ({
  audiences: [{ id: VIP, slug: 'vip', name: 'VIP', members }],
  profiles,
});

/** A service whose members are answered so, page by page; each answer is there once. */
async function membersOf(...pages: Answered[]): Promise<JsonServer> {
  return startJsonServer(() => pages.shift() ?? { status: 500, text: '' });
}

const LISTED = { audiences: [{ id: VIP, slug: 'vip' }] };
const NEXT = { ...LISTED, members: { url: '/m/{audience}?after={cursor}', items: 'data', next: 'next' } };

async function allOf(source: AudienceSource, limit: number, after?: string): Promise<string[][]> {
  const pages: string[][] = [];
  let next = after;
  do {
    const page = await source.members(VIP, next, limit);
    pages.push([...page.ids]);
    next = page.next;
  } while (next !== undefined);
  return pages;
}

test('the source checks that a service answers by its list of audiences, or else by a page of members', async () => {
  const service = await startJsonServer(({ url }) =>
    url.pathname.startsWith('/v1/gone') ? { status: 500, text: '' } : { json: [] },
  );
  const asksAt = (url: string) =>
    answersOf(opened(service.url, { audiences: { url, id: 'key' }, members: { url: '/{audience}' } }));
  await expect(asksAt('/lists')).resolves.toBeUndefined();
  await expect(asksAt('/gone')).rejects.toThrow(SourceUnavailable);
  const ofMembers = (url: string) => answersOf(opened(service.url, { ...LISTED, members: { url } }));
  await expect(ofMembers('/m/{audience}')).resolves.toBeUndefined();
  await expect(ofMembers('/gone/{audience}')).rejects.toThrow(SourceUnavailable);
  // What fails is asked once more.
  const paths = new Set(service.asked.map(({ url }) => url.pathname));
  expect([...paths]).toEqual(['/v1/lists', '/v1/gone', `/v1/m/${VIP}`, `/v1/gone/${VIP}`]);
});

test('the source makes 32 hex digits of other audience ids, always the same, and asks by the original ids', async () => {
  const service = await startJsonServer(({ url }) =>
    url.pathname === '/v1/lists'
      ? { json: [{ key: 7_076_027_172_059_065_053n }, { key: '9F1E2C3D-4A5B-6C7D-8E9F-0A1B2C3D4E5F' }, { key: 'a/b' }] }
      : { json: [] },
  );
  const source = opened(service.url, { audiences: { url: '/lists', id: 'key' }, members: { url: '/{audience}' } });
  const listed = await source.audiences();
  expect(listed).toEqual([
    { id: 'd9a2df0c9de2280a895506e975872a34', slug: '7076027172059065053', name: '7076027172059065053' },
    { id: '9f1e2c3d4a5b6c7d8e9f0a1b2c3d4e5f', slug: '9F1E2C3D-4A5B-6C7D-8E9F-0A1B2C3D4E5F', name: expect.any(String) },
    { id: expect.stringMatching(/^[0-9a-f]{32}$/), slug: 'a/b', name: 'a/b' },
  ]);
  for (const { id } of listed) await source.members(id, undefined, 10);
  expect(service.asked.slice(1).map(({ url }) => url.pathname)).toEqual([
    '/v1/7076027172059065053',
    '/v1/9F1E2C3D-4A5B-6C7D-8E9F-0A1B2C3D4E5F',
    '/v1/a%2Fb',
  ]);
});

test('a service that gives more than is asked for, or everything at once, is read in pages all the same', async () => {
  const service = await startJsonServer(() => ({ json: PEOPLE }));
  const source = opened(service.url, { ...LISTED, members: { url: '/m/{audience}' } });
  const pages = await allOf(source, 400);
  expect(pages.map(({ length }) => length)).toEqual([400, 400, 250]);
  expect(pages.flat()).toEqual(PEOPLE);
});

test('a service is never asked for more rows than it gives, and for as many each time', async () => {
  const service = await startPeopleService(contentOf(PEOPLE));
  const source = opened(service.url);
  await source.members(VIP, undefined, 1000);
  const limits = service.asked.map(({ url }) => url.searchParams.get('limit')).filter((limit) => limit !== null);
  expect(limits).toEqual(['400', '400', '400']);
});

test('a service whose cursors are numbers of pages is read without a gap, whatever fits into a page of ours', async () => {
  const rows = ['', ...PEOPLE];
  const service = await startJsonServer(({ url: { searchParams: query } }) => {
    const [page, size] = [Number(query.get('page') ?? 1), Number(query.get('size'))];
    const next = page * size < rows.length ? page + 1 : null;
    return { json: { data: rows.slice((page - 1) * size, page * size), next } };
  });
  const members = { url: '/m/{audience}?page={cursor}&size={limit}', items: 'data', next: 'next', maxLimit: 100 };
  const source = opened(service.url, { ...LISTED, members });
  const { ids, next } = await source.members(VIP, undefined, 250);
  expect([...ids, ...(await allOf(source, 90, next)).flat()]).toEqual(PEOPLE);
});

test('within a page that was given in part, who left or came moves nobody out of sight', async () => {
  let people = PEOPLE;
  const service = await startJsonServer(() => ({ json: people }));
  const source = opened(service.url, { ...LISTED, members: { url: '/m/{audience}' } });
  const { next } = await source.members(VIP, undefined, 400);
  people = PEOPLE.filter((user) => user !== 'p5' && user !== 'p600');
  expect((await allOf(source, 400, next)).flat()).toEqual(PEOPLE.slice(400).filter((user) => user !== 'p600'));
  // Who marked the place is gone: the page is given whole.
  people = PEOPLE.filter((user) => user !== 'p399');
  expect((await allOf(source, 2000, next)).flat()).toEqual(people);
});

test.each<[what: string, ends: unknown]>([
  ['null', null],
  ['an empty text', ''],
  ['false', false],
  ['0', 0],
  ['nothing', undefined],
])('%s where the next page should be is the end', async (_, next) => {
  const service = await membersOf({ json: { data: ['1'], next: 'x' } }, { json: { data: null, next } });
  expect(await allOf(opened(service.url, NEXT), 10)).toEqual([['1']]);
});

test('a path to the next page that is misspelt is an error, not the end of the audience', async () => {
  const members = (next: string) => ({ url: '/m/{audience}?after={cursor}', items: 'data', next });
  const open = async (body: object, next: string) =>
    opened((await membersOf({ json: body })).url, { ...LISTED, members: members(next) });
  const nested = await open({ data: ['1'], paging: { next: 'b2Zmc2V0' } }, 'paging.nxet');
  await expect(nested.members(VIP, undefined, 10)).rejects.toThrow(
    'there is nothing under "paging.nxet", but something under "paging.next"; correct "next"',
  );
  const above = await open({ data: ['1'], paging: { next: 'b2Zmc2V0' } }, 'pagings.next');
  await expect(above.members(VIP, undefined, 10)).rejects.toThrow('something under "paging.next"');
  for (const end of [null, '', false, 0]) {
    const ended = await open({ data: ['1'], nxt: end }, 'next');
    await expect(ended.members(VIP, undefined, 10)).resolves.toEqual({ ids: ['1'] });
  }
});

test('the log says when a full first page that names no next one counts as the only page', async () => {
  const problems: string[] = [];
  const service = await startJsonServer(() => ({ json: { data: ['1', '2'] } }));
  const source = opened(service.url, NEXT, { ...PATIENT, onProblem: (text) => problems.push(text) });
  await expect(source.members(VIP, undefined, 3)).resolves.toEqual({ ids: ['1', '2'] });
  expect(problems).toEqual([]);
  await expect(source.members(VIP, undefined, 2)).resolves.toEqual({ ids: ['1', '2'] });
  expect(problems.join()).toContain('the first page is full, and nothing says where the next one is');
});

test('the URL of the next page may stand in the answer, whole or from the path on', async () => {
  const service: JsonServer = await startJsonServer(({ url }) => {
    const at = Number(url.searchParams.get('page') ?? 1);
    const next = [undefined, `${service.url}/v1/m/x?page=2#top`, '/v1/m/x?page=3', '?page=4'][at];
    return { json: { data: [`${at}`], ...(next === undefined ? {} : { next }) } };
  });
  const members = { url: '/m/{audience}', items: 'data', next: 'next' };
  expect((await allOf(opened(service.url, { ...LISTED, members }), 2)).flat()).toEqual(['1', '2', '3', '4']);
});

test('[S12] a next page at another origin is not asked', async () => {
  const elsewhere = await startJsonServer(() => ({ json: { data: ['stolen'] } }));
  const members = { url: '/m/{audience}', items: 'data', next: 'next' };
  for (const next of [`${elsewhere.url}/m`, '//else.example/m', 'file:///etc/passwd', 'http://']) {
    const service = await membersOf({ json: { data: ['1'], next } });
    await expect(allOf(opened(service.url, { ...LISTED, members }), 10)).rejects.toThrow(/another origin/);
  }
  expect(elsewhere.asked).toEqual([]);
});

test('a place that comes again has the same cursor, by which readers notice a circular list', async () => {
  let asked = 0;
  const service = await startJsonServer(() => ({ json: { data: [`${asked}`], next: `c${asked++ % 2}` } }));
  const source = opened(service.url, NEXT);
  const cursors: (string | undefined)[] = [];
  for (let next: string | undefined; cursors.length < 4;) {
    ({ next } = await source.members(VIP, next, 1));
    cursors.push(next);
  }
  expect(cursors.slice(2)).toEqual(cursors.slice(0, 2));
});

test.each<[what: string, answer: Answered, message: RegExp]>([
  ['no list', { json: { rows: [] } }, /there is no list under "data"/],
  ['a next page that is none', { json: { data: [], next: { page: 2 } } }, /under "next" does not lead to another page/],
  ['a cursor without end', { json: { data: [], next: 'x'.repeat(5000) } }, /more than 4096 characters/],
  ['HTTP 401', { status: 401, json: { error: TOKEN } }, /HTTP 401\. Check what/],
  ['HTTP 404', { status: 404, text: '' }, /HTTP 404\. Check the URL/],
  ['no JSON', { text: `<html>${TOKEN}` }, /the answer is not JSON/],
])('%s instead of a page is refused with words, and what was written is not repeated', async (_, answer, message) => {
  const service = await membersOf(answer);
  const error = await allOf(opened(service.url, NEXT), 10).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(SourceUnavailable);
  expect(error).toMatchObject({ message: expect.stringMatching(message) });
  expect(String(error)).not.toContain(TOKEN);
});

test('rows without an id are left out and reported; when no row has one, the mapping is wrong', async () => {
  const told: string[] = [];
  const service = await startJsonServer(() => ({
    json: [{ id: 1 }, { id: null }, {}, { id: 7_076_027_172_059_065_053n }],
  }));
  const members = { url: '/m/{audience}', id: 'id' };
  const onProblem = (text: string): number => told.push(text);
  const source = opened(service.url, { ...LISTED, members }, { onProblem });
  expect((await source.members(VIP, undefined, 10)).ids).toEqual(['1', '7076027172059065053']);
  expect(told).toEqual(['Audience vip, some rows have no id of a person and are left out.']);
  const many = await startJsonServer(() => ({ json: PEOPLE.map((uid) => ({ uid })) }));
  await expect(opened(many.url, { ...LISTED, members }).members(VIP, undefined, 10)).rejects.toThrow(
    /None of the 1050 rows of "vip" has a person's id where "members\.id"/,
  );
  const few = await startJsonServer(() => ({ json: [{ uid: 'a' }] }));
  await expect(opened(few.url, { ...LISTED, members }).members(VIP, undefined, 10)).rejects.toThrow(
    /None of the 1 rows of "vip"/,
  );
});

test('audiences that lead in a circle, or have no id, are refused', async () => {
  const mapping = (more: object) => ({
    members: { url: '/{audience}' },
    audiences: { id: 'id', items: 'data', ...more },
  });
  const circle = await startJsonServer(() => ({ json: { data: [{ id: '1' }], next: 'a' } }));
  const paged = mapping({ url: '/lists?after={cursor}', next: 'next' });
  await expect(opened(circle.url, paged).audiences()).rejects.toThrow(/circular/);
  const nameless = await startJsonServer(() => ({ json: { data: [{ key: '1' }] } }));
  await expect(opened(nameless.url, mapping({ url: '/lists' })).audiences()).rejects.toThrow(/no id under "id"/);
});

test('profiles of many are asked for in groups, by GET with commas or by POST', async () => {
  const profiles = Object.fromEntries(PEOPLE.map((user, i) => [user, { i }]));
  const service = await startPeopleService(contentOf([], profiles));
  expect((await opened(service.url).profiles(PEOPLE)).size).toBe(1050);
  expect(
    service.asked.map(({ body }) => (JSON.parse(body) as { filter: { ids: string[] } }).filter.ids.length),
  ).toEqual([150, 150, 150, 150, 150, 150, 150]);
  const get = await startJsonServer(({ url }) => ({
    json: (url.searchParams.get('ids') ?? '').split(',').map((id) => ({ id: Number(id), n: `${id}!` })),
  }));
  const source = opened(get.url, { ...NEXT, profiles: { url: '/people?ids={users}', id: 'id' } });
  expect((await profileFields(source, ['1', '2'])).get('2')).toEqual({ id: 2, n: '2!' });
  expect(get.asked[0]?.url.search).toBe('?ids=1,2');
});

test('somebody who was not asked for is not taken, and a row without fields is refused', async () => {
  const service = await membersOf(
    {
      json: [
        { id: 'other', fields: {} },
        { id: '1', fields: { n: 1 } },
      ],
    },
    { json: [{ id: '2' }] },
    { text: 'nothing' },
  );
  const source = opened(service.url, { ...NEXT, profiles: { url: '/p?ids={users}', id: 'id', profile: 'fields' } });
  expect([...(await profileFields(source, ['1']))]).toEqual([['1', { n: 1 }]]);
  await expect(source.profiles(['2'])).rejects.toThrow(/somebody has no object under "fields"/);
  await expect(source.profiles(['3'])).rejects.toThrow(/the answer is not JSON/);
});

test('more people than can be looked up in time are refused, and the next call goes on where it was', async () => {
  const service = await startPeopleService(contentOf([], Object.fromEntries(PEOPLE.map((user) => [user, {}]))));
  const profiles = { ...BY_LINK.profiles, parallelLookUps: 1 };
  const source = opened(service.url, { ...LISTED, ...BY_LINK, profiles }, { lookUpBudgetMs: 60 });
  await expect(source.profiles(PEOPLE)).rejects.toThrow(/only \d+ of 1050 in 0\.06 s/);
  let found: { size: number } | undefined;
  while (found === undefined) found = await source.profiles(PEOPLE).catch(() => undefined);
  expect(found.size).toBe(1050);
  expect(service.asked).toHaveLength(1050);
});

test('a failure makes nobody unknown', async () => {
  const service = await startJsonServer(() => ({ status: 403, text: '' }));
  const byOne = opened(service.url, { ...NEXT, profiles: { url: '/p/{user}' } });
  await expect(byOne.profiles(['1'])).rejects.toMatchObject({ status: 403 });
  const byMany = opened(service.url, { ...NEXT, profiles: { url: '/p?ids={users}', id: 'id' } });
  await expect(byMany.profiles(['1'])).rejects.toMatchObject({ status: 403 });
  const notThere = await startJsonServer(() => ({ status: 404, text: '' }));
  const wrong = opened(notThere.url, { ...NEXT, profiles: { url: '/p?ids={users}', id: 'id' } });
  await expect(wrong.profiles(['1'])).rejects.toMatchObject({ status: 404 });
});

test('a service without profiles knows nobody, and is not asked', async () => {
  const service = await startJsonServer(() => ({ status: 500, text: '' }));
  expect(await opened(service.url, NEXT).profiles(['1'])).toEqual(new Map());
  expect(service.asked).toEqual([]);
});

test('membership may be a value in the answer; without a place to ask at, all members are read', async () => {
  const answers: unknown[] = [{ member: true }, { member: false }, { member: 'yes' }];
  const service = await startJsonServer(() => ({ json: answers.shift() }));
  const member = { url: '/m/{audience}/{user}', value: 'member' };
  const source = opened(service.url, { ...NEXT, member });
  expect(await source.isMember(VIP, '1')).toBe(true);
  expect(await source.isMember(VIP, '1')).toBe(false);
  await expect(source.isMember(VIP, '1')).rejects.toThrow(/neither true nor false .*"member"/);
  const people = await startPeopleService(contentOf(PEOPLE));
  const without = { ...BY_CURSOR, member: undefined };
  const reading = opened(people.url, without);
  expect(await reading.isMember(VIP, 'p1049')).toBe(true);
  expect(await reading.isMember(VIP, 'nobody')).toBe(false);
  const hasty = opened(people.url, without, { pageBudgetMs: 0 });
  await expect(hasty.isMember(VIP, 'nobody')).rejects.toThrow(/"member" in the configuration can name/);
});

test('a text that is not a cursor is refused', async () => {
  const service = await startPeopleService(contentOf(PEOPLE));
  await expect(opened(service.url).members(VIP, '{"at":1}', 10)).rejects.toThrow(/is not a cursor/);
});

test('the source encodes special characters of a value wherever it stands in a URL', () => {
  expect(filled('/a/{user}/b?x={user}&y={users}', { user: 'a/b?c&d=#é', users: ['1', '2,3'] })).toBe(
    '/a/a%2Fb%3Fc%26d%3D%23%C3%A9/b?x=a%2Fb%3Fc%26d%3D%23%C3%A9&y=1,2%2C3',
  );
});

test.each([
  ['/m?after={cursor}', '/m'],
  ['/m?after={cursor}&limit={limit}', '/m?limit=10'],
  ['/m?limit={limit}&after={cursor}', '/m?limit=10'],
  ['/m?a=1&after={cursor}&limit={limit}', '/m?a=1&limit=10'],
  ['/m?after=v{cursor}', '/m?after=v'],
  ['/m/{cursor}', '/m/'],
])('without a cursor, %s is %s', (template, path) => {
  expect(filled(template, { cursor: '', limit: '10' })).toBe(path);
});

test('a value that looks like a placeholder is not one', () => {
  expect(filled('/{user}?{limit}', { user: '{limit}$&', limit: '5' })).toBe('/%7Blimit%7D%24%26?5');
});
