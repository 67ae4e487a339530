import { gzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { lyticsSource } from '../../../src/features/source-lytics/config.ts';
import { openLyticsSource } from '../../../src/features/source-lytics/source.ts';
import { SourceUnavailable } from '../../../src/sources/source.ts';
import { profileFields } from '../../support/profile-fields.ts';
import type { Answered } from '../../sources/a-json-server.ts';
import { conformsToAudienceSource } from '../../sources/source-conformance.ts';
import { accountOf, once, opened, PATIENT, PEOPLE, refusal, settings, startLytics, TOKEN, VIP } from './a-lytics.ts';

conformsToAudienceSource('the Lytics source', async (content) =>
  openLyticsSource(settings((await startLytics(content)).url), PATIENT),
);

test('a segment that is deleted, invalid, or of another table or kind is not an audience', async () => {
  const lytics = await accountOf();
  const good = { id: 'b'.repeat(32), slug_name: 'good', name: 'Good', table: 'user', kind: 'segment' };
  lytics.moreSegments.push(
    good,
    { ...good, id: 'c'.repeat(32), deleted: true },
    { ...good, id: 'd'.repeat(32), invalid: true, invalid_reason: 'no such field' },
    { ...good, id: 'e'.repeat(32), table: 'content' },
    { ...good, id: 'f'.repeat(32), kind: 'aspect' },
  );
  const listed = await opened(lytics).audiences();
  expect(listed).toEqual([
    { id: good.id, slug: 'good', name: 'Good' },
    { id: VIP, slug: 'vip', name: 'VIP', size: 1050 },
  ]);
});

test('the source accepts a segment whose id is not 32 hex digits, and asks for it by that id', async () => {
  const key = 'erg9/erg8er6gerge90r8er';
  const lytics = await startLytics({
    audiences: [{ id: key, slug: 'odd', name: 'Odd', members: PEOPLE.slice(0, 3) }],
    profiles: {},
  });
  const source = opened(lytics);
  const [audience] = await source.audiences();
  expect(audience).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{32}$/), slug: 'odd', size: 3 });
  const id = audience?.id ?? '';
  expect((await source.members(id, undefined, 10)).ids).toEqual(PEOPLE.slice(0, 3));
  expect([await source.isMember(id, 'p1'), await source.isMember(id, 'p7')]).toEqual([true, false]);
});

test('a segment without an id is an error, not an audience less', async () => {
  const lytics = await accountOf();
  lytics.moreSegments.push({ slug_name: 'nameless', name: 'Nameless', table: 'user', kind: 'segment' });
  await expect(opened(lytics).audiences()).rejects.toThrow(/an audience has no id/);
});

test('an account without segments, which Lytics writes as null, has no audiences', async () => {
  expect(await opened(await startLytics({ audiences: [], profiles: {} })).audiences()).toEqual([]);
});

test('an audience that includes one with a time window has that window', async () => {
  const lytics = await accountOf();
  const segment = { table: 'user', kind: 'segment', name: 'X' };
  lytics.moreSegments.push(
    { ...segment, id: 'b'.repeat(32), slug_name: 'recent', segment_ql: 'FILTER seen > "now-10m"' },
    { ...segment, id: 'c'.repeat(32), slug_name: 'x', segment_ql: 'FILTER AND (INCLUDE recent, a > "now-3h")' },
  );
  const windows = (await opened(lytics).audiences()).map(({ slug, windowMinutes }) => [slug, windowMinutes]);
  expect(Object.fromEntries(windows)).toEqual({ recent: 10, vip: undefined, x: 10 });
});

test('the token goes out as it is, without a scheme before it, and nothing compressed is asked for', async () => {
  const lytics = await accountOf();
  await opened(lytics).audiences();
  expect(lytics.asked[0]?.headers).toMatchObject({ authorization: TOKEN, 'accept-encoding': 'identity' });
});

test.each<[what: string, answer: Answered, message: RegExp]>([
  [
    'a refused token',
    { status: 401, json: { message: 'Not authorized', status: 401 } },
    /HTTP 401\. Check what .*"source"/,
  ],
  ['the same with HTTP 200', { json: { message: `no ${TOKEN}`, status: '401' } }, /HTTP 401\. Check/],
  ['a missing right', refusal(403, `${TOKEN} may not`), /HTTP 403\. .*may not read this/],
  [
    'an error of the newer API',
    { status: 400, json: { status: 400, errors: [{ code: 'BADREQ-001', message: TOKEN }], request_id: 'x' } },
    /HTTP 400, BADREQ-001\.$/,
  ],
  ['an error under HTTP 200', { json: { status: 200, errors: [{ code: TOKEN }], data: null } }, /HTTP 200\.$/],
  ['not JSON', { text: `<html>${TOKEN}` }, /not JSON/],
  ['what is compressed unasked', { text: gzipSync('{}'), headers: { 'content-encoding': 'gzip' } }, /not JSON/],
  ['a redirect', { status: 302, text: '', headers: { location: '/v2/segment?again' } }, /HTTP 302/],
  ['JSON of another form', { json: { status: 200, data: { segments: [] } } }, /no list under "data"/],
  ['a page of somebody else', { status: 404, text: 'nginx' }, /HTTP 404\. Check the URL/],
  ['that it timed out', { json: { status: 200, message: 'Timed out', data: null } }, /did not get the answer in time/],
])('the source reports %s by status and code, without the token and the body', async (_, answer, message) => {
  const lytics = await accountOf();
  once(answer)(lytics);
  const error = await opened(lytics)
    .audiences()
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(SourceUnavailable);
  expect(error).toMatchObject({ message: expect.stringMatching(message) });
  expect(String(error)).not.toContain(TOKEN);
  expect(String(error)).toContain(`${lytics.url} did not give its audiences`);
});

test('numbers that the API writes as texts are numbers, where a field is known to hold some, and nowhere else', async () => {
  const profile = {
    score_intensity: '50',
    score_momentum: '12.5',
    hourly: { '1': '28', '15': 1 },
    _split: '12',
    visitct: '214',
    points: '9007199254740993',
    app_devices: { IOS: '38' },
    zip: '02134',
    phone: '15551234567',
    is_bot: 'f',
    is_mobile: 't',
    score_broken: 'n/a',
    score_odd: '007',
    user_attributes: { value: '681' },
  };
  const lytics = await accountOf(['1'], { '1': profile });
  const source = opened(lytics, { numberFields: ['visitct', 'points', 'app_devices', 'zip'] });
  const expected = {
    ...profile,
    score_intensity: 50,
    score_momentum: 12.5,
    hourly: { '1': 28, '15': 1 },
    _split: 12,
    visitct: 214,
    points: 9_007_199_254_740_993n,
    app_devices: { IOS: 38 },
  };
  expect((await profileFields(source, ['1'])).get('1')).toEqual(expected);
  await source.members(VIP, undefined, 10);
  expect((await profileFields(source, ['1'])).get('1')).toEqual(expected);
});

test('a profile has no "_uid" and no segments, as in messages of Lytics itself', async () => {
  const source = opened(await accountOf(['1'], { '1': { email: 'a@example.com' } }));
  expect((await profileFields(source, ['1'])).get('1')).toEqual({ email: 'a@example.com' });
});

test('a person is identified by the field that is configured, a text or a whole number', async () => {
  const rows = { a: { user_id: 7_076_027_172_059_065_053n }, b: { user_id: 'x' }, c: { user_id: 5 } };
  const lytics = await accountOf(['a', 'b', 'c'], rows);
  const source = opened(lytics, { userField: 'user_id' });
  expect((await source.members(VIP, undefined, 10)).ids).toEqual(['7076027172059065053', 'x', '5']);
  lytics.before.push(() => ({ json: { data: { user_id: 'x', n: 1 }, message: 'success', status: 200 } }));
  // Not from the scan: it is asked for.
  expect((await profileFields(opened(lytics, { userField: 'user_id' }), ['x'])).get('x')).toEqual({
    user_id: 'x',
    n: 1,
  });
  expect(lytics.asked.at(-1)?.url.pathname).toBe('/api/entity/user/user_id/x');
});

test.each<[what: string, answer: Answered]>([
  ['HTTP 200 and "Not Found"', { json: { data: { segments: ['all'] }, message: 'Not Found', status: 200 } }],
  ['HTTP 200 and the segment "not_found"', { json: { data: { segments: ['not_found', 'all'] }, status: 200 } }],
  ['HTTP 404 in words of its own', refusal(404, 'not there')],
])('somebody whom Lytics does not know, said by %s, has no profile and is in no audience', async (_, answer) => {
  const lytics = await accountOf();
  once(answer, answer)(lytics);
  const source = opened(lytics);
  expect(await source.profiles(['p1'])).toEqual(new Map());
  lytics.before.push(() => undefined);
  lytics.before.splice(
    0,
    2,
    () => undefined,
    () => answer,
  );
  expect(await source.isMember(VIP, 'p1')).toBe(false);
});

test.each<[what: string, answer: Answered]>([
  ['timed out', { json: { data: { segments: ['not_found', 'all'] }, message: 'Timed out', status: 200 } }],
  ['a 404 that is not its own', { status: 404, text: 'nginx' }],
  ['nobody', { json: { data: null, message: 'success', status: 200 } }],
  ['HTTP 403', refusal(403, 'no')],
])('an answer that says nothing of a person (%s) makes nobody unknown', async (_, answer) => {
  const lytics = await accountOf();
  const source = opened(lytics);
  await source.audiences();
  once(answer)(lytics);
  await expect(source.profiles(['p1'])).rejects.toBeInstanceOf(SourceUnavailable);
  once(answer)(lytics);
  await expect(source.isMember(VIP, 'p1')).rejects.toBeInstanceOf(SourceUnavailable);
});

test('the source believes that somebody is no member only by a complete list of segments', async () => {
  const lytics = await accountOf(['1']);
  const source = opened(lytics);
  await source.audiences();
  const answer = (more: object): void =>
    once({ json: { data: { _uid: '1', segments: ['other'], ...more }, message: 'success', status: 200 } })(lytics);
  answer({ segments: ['vip'] });
  expect(await source.isMember(VIP, '1')).toBe(true);
  answer({ segments_all: [VIP] });
  expect(await source.isMember(VIP, '1')).toBe(true);
  answer({ segments_all: null });
  expect(await source.isMember(VIP, '1')).toBe(false);
  answer({});
  await expect(source.isMember(VIP, '1')).rejects.toThrow(/segments_all/);
});

test('profiles of a scan need no look-up, for as long as they are young', async () => {
  const lytics = await accountOf(PEOPLE, { p1: { n: 1 } });
  const source = opened(lytics);
  const { ids } = await source.members(VIP, undefined, 1000);
  const before = lytics.asked.length;
  expect((await source.profiles(ids)).size).toBe(1000);
  expect((await profileFields(source, ['p1'])).get('p1')).toEqual({ n: 1 });
  expect(lytics.asked.length).toBe(before);
  const forgetful = opened(lytics, { maxProfileAgeMs: 0 });
  await forgetful.members(VIP, undefined, 100);
  await forgetful.profiles(['p1', 'p2']);
  expect(lytics.asked.filter(({ url }) => url.pathname.includes('/entity/'))).toHaveLength(2);
});

test('look-ups are several at once, never more than configured', async () => {
  const lytics = await accountOf();
  once({ hangs: true }, { hangs: true }, { hangs: true })(lytics);
  const found = opened(lytics, { parallelLookUps: 3, timeoutMs: 300 }).profiles(PEOPLE.slice(0, 60));
  await expect(found).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
  expect(lytics.asked).toHaveLength(3);
});

test.each(['', '.', '..', 'x'.repeat(256), '\ud800'])(
  'the source asks nothing for the id %j, which nobody has: it would be another question',
  async (user) => {
    const lytics = await accountOf();
    const source = opened(lytics);
    await source.audiences();
    expect(await source.profiles([user])).toEqual(new Map());
    expect(await source.isMember(VIP, user)).toBe(false);
    expect(lytics.asked).toHaveLength(1);
  },
);

test.each<[what: string, settings: object, message: RegExp]>([
  ['no token', { token: undefined }, /at token/],
  ['a token with a line break', { token: 's3cret\n' }, /one word of plain characters/],
  ['no field for ids', { userField: undefined }, /at userField/],
  ['a field that is a path', { userField: 'user_id/../x' }, /letters, digits and underscores/],
  ['a URL with a token in it', { url: 'https://api.lytics.io/?key=s3cret' }, /no user name, password, query/],
  ['pages larger than Lytics gives', { pageSize: 101 }, /at pageSize/],
])('%s in the configuration is refused, and not repeated', (_, more, message) => {
  const { error } = lyticsSource.safeParse({ kind: 'lytics', token: TOKEN, userField: '_uid', ...more });
  const words = error === undefined ? '' : z.prettifyError(error);
  expect(words).toMatch(message);
  expect(words).not.toContain('s3cret');
});

test('a slice asks for each person once, for the profile and the audiences together', async () => {
  const lytics = await accountOf(PEOPLE.slice(0, 40), {});
  const source = opened(lytics);
  const asked = () => lytics.asked.filter(({ url }) => url.pathname.includes('/entity/')).length;
  const [profiles, memberships] = await Promise.all([source.profiles(PEOPLE), source.memberships?.(PEOPLE)]);
  expect([profiles.size, memberships?.get('p1'), memberships?.get('p41')]).toEqual([40, ['vip'], []]);
  expect(asked()).toBe(PEOPLE.length);
});
