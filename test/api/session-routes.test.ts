import { afterEach, describe, expect, test } from '@jest/globals';
import type { Api, ApiOptions } from '../../src/app/api.ts';
import { IDLE_MS, LONGEST_MS } from '../../src/api/callers.ts';
import type { LoggedDeed } from '../../src/contract/audit.ts';
import type { ConfiguredApiKeys } from '../../src/config/api-keys.ts';
import { newApiKey } from '../../src/config/references.ts';
import { createLog } from '../../src/worker/log.ts';
import { type Answered, apiWithoutTemporal, askOf } from './an-api.ts';

const boss = newApiKey();
const viewer = newApiKey();
const shop = newApiKey();
const KEYS: ConfiguredApiKeys = {
  boss: { hash: boss.hash, may: ['read', 'operate'] },
  viewer: { hash: viewer.hash, may: ['read'], jobs: ['crm'] },
  shop: { hash: shop.hash, may: ['trigger'] },
};
const CONSOLE = { 'x-triggers-console': '1' };
/** Needs a right, and no Temporal to be refused or to say what is wrong with it. */
const READ = '/v1/jobs?limit=0';
const CHANGE = { method: 'POST', body: { nothing: true } };

const open: Api[] = [];
afterEach(async () => {
  for (const api of open.splice(0)) await api.close();
});
async function anApi(keys: ConfiguredApiKeys = KEYS, more: Partial<ApiOptions> = {}): Promise<Api> {
  const api = await apiWithoutTemporal(keys, more);
  open.push(api);
  return api;
}

async function signedIn(api: Api, body: object, headers: object = {}): Promise<Answered & { cookie: string }> {
  const answer = await askOf(api, '/v1/session', { body, headers: { ...CONSOLE, ...headers } });
  const said = answer.headers['set-cookie'];
  return { ...answer, cookie: typeof said === 'string' ? (said.split(';')[0] ?? '') : '' };
}

async function statusOf(api: Api, path: string, headers: object, more: object = {}): Promise<number> {
  return (await askOf(api, path, { headers, ...more })).status;
}

describe('signing in', () => {
  test('[S49] a key signs in twenty times at once, then waits: each is a deed that lasts', async () => {
    const deeds: LoggedDeed[] = [];
    const api = await anApi(KEYS, { onDeed: (deed) => deeds.push(deed) });
    const statuses = [];
    for (let i = 0; i < 22; i++) statuses.push((await signedIn(api, { key: viewer.secret })).status);
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 200), 429, 429]);
    expect(deeds).toHaveLength(20);
    expect(await signedIn(api, { key: boss.secret })).toMatchObject({ status: 200 });
  });

  test('[S39] signing in with a key sets a cookie without the key, hidden from scripts and other sites', async () => {
    const api = await anApi();
    const { status, headers, body } = await signedIn(api, { key: viewer.secret });
    expect([status, body]).toEqual([
      200,
      {
        isOpen: false,
        name: 'viewer',
        may: ['read'],
        jobs: ['crm'],
        idleEndsAt: expect.any(String),
        endsAt: expect.any(String),
        version: expect.any(String),
      },
    ]);
    expect(headers['set-cookie']).toMatch(
      /^triggers-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
  });

  test('[S39] over https only a cookie that this host alone can set is accepted', async () => {
    const api = await anApi();
    const https = { 'x-forwarded-proto': 'https' };
    const { cookie, headers } = await signedIn(api, { key: boss.secret }, https);
    expect(headers['set-cookie']).toMatch(/^__Host-triggers-session=[\w-]{43}; Path=\/; HttpOnly; .*; Secure$/);
    expect(await statusOf(api, READ, { cookie, ...https })).toBe(422);
    // What another host of the domain could set.
    expect(await statusOf(api, READ, { cookie: cookie.replace('__Host-', ''), ...https })).toBe(401);
  });

  test('a session may what its key may, as it is configured at that moment', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: viewer.secret });
    expect(await statusOf(api, READ, { cookie })).toBe(422);
    expect(await statusOf(api, '/v1/jobs/ads', { cookie })).toBe(403);
    expect(await statusOf(api, '/v1/jobs', { cookie, ...CONSOLE }, CHANGE)).toBe(403);
    api.replaceKeys({ ...KEYS, viewer: { hash: viewer.hash, may: ['read', 'operate'] } });
    expect(await statusOf(api, '/v1/jobs', { cookie, ...CONSOLE }, { ...CHANGE, body: [] })).toBe(422);
  });

  test('[S40] a session ends at once when its key is taken away', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: viewer.secret });
    const { viewer: _, ...others } = KEYS;
    api.replaceKeys(others);
    expect(await statusOf(api, READ, { cookie })).toBe(401);
    expect(await statusOf(api, '/v1/session', { cookie, ...CONSOLE })).toBe(401);
  });

  test('[S40] a session ends when its cookie signs out, and the cookie is taken away', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: boss.secret });
    const out = await askOf(api, '/v1/session', { method: 'DELETE', headers: { cookie, ...CONSOLE } });
    expect([out.status, out.headers['set-cookie']]).toEqual([
      204,
      'triggers-session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0',
    ]);
    expect(await statusOf(api, READ, { cookie })).toBe(401);
  });

  test('[S40] a session ends when nobody does anything, whatever the page itself asks for, and at its end in any case', async () => {
    let now = 1_700_000_000_000;
    const api = await anApi(KEYS, { now: () => now });
    const { cookie, body } = await signedIn(api, { key: boss.secret });
    expect(body).toMatchObject({
      idleEndsAt: new Date(now + IDLE_MS).toISOString(),
      endsAt: new Date(now + LONGEST_MS).toISOString(),
    });
    now += IDLE_MS - 1;
    // What the page asks for by itself has not the header.
    expect(await statusOf(api, READ, { cookie })).toBe(422);
    expect(await statusOf(api, READ, { cookie, ...CONSOLE })).toBe(422);
    now += IDLE_MS - 1;
    expect(await statusOf(api, READ, { cookie })).toBe(422);
    now += 1;
    expect(await statusOf(api, READ, { cookie })).toBe(401);
    expect(await statusOf(api, READ, { cookie, ...CONSOLE })).toBe(401);

    const other = await signedIn(api, { key: boss.secret });
    const end = now + LONGEST_MS;
    for (; now < end; now += IDLE_MS - 1)
      expect(await statusOf(api, READ, { cookie: other.cookie, ...CONSOLE })).toBe(422);
    now = end;
    expect(await statusOf(api, READ, { cookie: other.cookie, ...CONSOLE })).toBe(401);
  });

  test('[S39] a sign-in never uses a token that the browser brought, and a second sign-in ends the first session', async () => {
    const api = await anApi();
    const brought = `triggers-session=${'A'.repeat(43)}`;
    const first = await signedIn(api, { key: boss.secret }, { cookie: brought });
    expect(first.cookie).not.toBe(brought);
    expect(await statusOf(api, READ, { cookie: brought })).toBe(401);
    const second = await signedIn(api, { key: viewer.secret }, { cookie: first.cookie });
    expect(await statusOf(api, READ, { cookie: first.cookie })).toBe(401);
    expect(await statusOf(api, READ, { cookie: second.cookie })).toBe(422);
    // Of two, one was put there by somebody else.
    for (const cookie of [`${brought}; ${second.cookie}`, `${second.cookie}; ${brought}`])
      expect(await statusOf(api, READ, { cookie })).toBe(401);
  });

  test('a key counts before a cookie, also a wrong one', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: boss.secret });
    expect(await statusOf(api, READ, { cookie, authorization: 'Bearer trg_wrong' })).toBe(401);
    expect(await statusOf(api, READ, { cookie, authorization: `Bearer ${shop.secret}` })).toBe(403);
    const who = await askOf(api, '/v1/session', { headers: { cookie, authorization: `Bearer ${viewer.secret}` } });
    expect(who.body).toEqual({
      isOpen: false,
      name: 'viewer',
      may: ['read'],
      jobs: ['crm'],
      version: expect.any(String),
    });
  });

  test('a key that may not read is refused by the console with the reason', async () => {
    const api = await anApi();
    expect(await signedIn(api, { key: shop.secret })).toMatchObject({
      status: 403,
      cookie: '',
      body: { code: 'NotAllowed', detail: expect.stringContaining('"read"') },
    });
  });

  test('[S39] a flood of wrong sign-ins has to wait, and locks nobody out', async () => {
    const api = await anApi();
    const wrong = [];
    for (let i = 0; i < 12; i++) wrong.push(await signedIn(api, i % 2 === 0 ? { key: `trg_${i}` } : { link: `${i}` }));
    expect(wrong.map(({ status }) => status)).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    expect(wrong.at(-1)).toMatchObject({
      cookie: '',
      headers: { 'retry-after': '6' },
      body: { code: 'TooManySignIns' },
    });
    expect((await signedIn(api, { key: boss.secret })).status).toBe(200);
  });

  test('[S39] who signs in and out is told, and refused sign-ins until they have to wait', async () => {
    const told: LoggedDeed[] = [];
    const api = await anApi(KEYS, { now: () => 1_800_000_000_000, onDeed: (deed) => told.push(deed) });
    const { cookie } = await signedIn(api, { key: viewer.secret });
    for (const own of [{ cookie }, { cookie }])
      await askOf(api, '/v1/session', { method: 'DELETE', headers: { ...CONSOLE, ...own } });
    for (let i = 0; i < 30; i++) await signedIn(api, { key: newApiKey().secret });
    const common = { at: '2027-01-15T08:00:00.000Z', kind: 'session', target: 'console', door: 'console' };
    expect(told).toEqual([
      { ...common, action: 'sign-in', who: 'viewer' },
      { ...common, action: 'sign-out', who: 'viewer' },
      ...Array.from({ length: 10 }, () => ({ ...common, action: 'refuse-sign-in' })),
    ]);
  });

  test.each([
    [{}, 422],
    [{ key: 7 }, 422],
    [{ key: 'a', link: 'b' }, 422],
    [{ key: 'a', stay: true }, 422],
    [[], 422],
    ['{"key":"a","key":"b"}', 400],
    [{ key: 'x'.repeat(5_000) }, 413],
    [{ key: '' }, 401],
    [{ key: `sha256:${boss.hash}` }, 401],
    [{ key: boss.hash.slice('sha256:'.length) }, 401],
    [{ link: '' }, 401],
  ])('%j signs nobody in', async (body, status) => {
    const api = await anApi();
    expect(await signedIn(api, body as object)).toMatchObject({ status, cookie: '' });
  });
});

describe('the link', () => {
  const tokenOf = (link: string) => /#token=([\w-]{43})$/.exec(link)?.[1] ?? '';

  test('[S39] signs in once, with all rights, without a key, and what it gave is a session like others', async () => {
    const api = await anApi();
    const link = api.invite();
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=/);
    const { status, cookie, body } = await signedIn(api, { link: tokenOf(link) });
    expect([status, body]).toMatchObject([200, { isOpen: false, may: ['read', 'trigger', 'operate'] }]);
    expect(await statusOf(api, READ, { cookie })).toBe(422);
    expect(await signedIn(api, { link: tokenOf(link) })).toMatchObject({ status: 401, cookie: '' });
    // It came from this machine, and not from the configuration.
    api.replaceKeys({});
    expect(await statusOf(api, READ, { cookie })).toBe(422);
  });

  test('[S39] is for this machine only: nobody signs in with it by another name, or through a proxy', async () => {
    const api = await anApi();
    const link = tokenOf(api.invite());
    for (const headers of [{ host: 'evil.example.com' }, { 'x-forwarded-for': '203.0.113.7' }])
      expect(await signedIn(api, { link }, headers)).toMatchObject({ status: 403, cookie: '' });
    const { body } = await askOf(api, '/v1/session', {
      body: { link },
      headers: { 'x-triggers-console': '1', 'x-forwarded-for': '203.0.113.7' },
    });
    expect(body).toMatchObject({ code: 'PassedOn', detail: expect.not.stringContaining('no keys') });
    expect((await signedIn(api, { link })).status).toBe(200);
  });

  test('without keys it is only the address, and nobody has to sign in', async () => {
    const api = await anApi({});
    expect(api.invite()).toBe(`${api.url}/`);
    const who = { isOpen: true, may: ['read', 'trigger', 'operate'], version: expect.any(String) };
    expect((await askOf(api, '/v1/session')).body).toEqual(who);
    expect(await signedIn(api, { key: 'anything' })).toMatchObject({ status: 200, cookie: '', body: who });
    // Once there are keys, it is over.
    api.replaceKeys(KEYS);
    expect(await statusOf(api, '/v1/session', {})).toBe(401);
    expect(await statusOf(api, READ, {})).toBe(401);
  });
});

describe('pages of other sites', () => {
  const EVIL = [
    { 'sec-fetch-site': 'cross-site' },
    // Another port of this machine is the same site to a browser, and cookies are sent to it.
    { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:9000' },
    { origin: 'http://evil.example.com' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ];

  test.each(EVIL)('[S41] %j: nothing is read, changed or signed in with a cookie', async (evil) => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: boss.secret });
    for (const headers of [
      { cookie, ...evil },
      { cookie, ...evil, ...CONSOLE },
    ]) {
      expect(await statusOf(api, READ, headers)).toBe(403);
      expect(await statusOf(api, '/v1/jobs', headers, CHANGE)).toBe(403);
      expect(await statusOf(api, '/v1/session', headers, { body: { key: boss.secret } })).toBe(403);
      expect(await statusOf(api, '/v1/session', headers, { method: 'DELETE' })).toBe(403);
    }
    expect(await statusOf(api, READ, { cookie })).toBe(422);
  });

  test('[S41] with a cookie, what changes something needs the header that only the console sends', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: boss.secret });
    expect(await askOf(api, '/v1/jobs/crm/pause', { method: 'POST', headers: { cookie } })).toMatchObject({
      status: 403,
      body: { code: 'NotFromConsole' },
    });
    for (const [method, body] of [['POST', { key: boss.secret }] as const, ['DELETE', undefined] as const])
      expect(await askOf(api, '/v1/session', { method, body, headers: { cookie } })).toMatchObject({
        status: 403,
        body: { code: 'NotFromConsole' },
      });
    expect(await statusOf(api, READ, { cookie })).toBe(422);
    expect(await statusOf(api, '/v1/jobs', { cookie, ...CONSOLE }, { ...CHANGE, body: [] })).toBe(422);
    // Programs have a key, and no cookie that somebody else could use.
    expect(await statusOf(api, '/v1/jobs', { authorization: `Bearer ${boss.secret}` }, { ...CHANGE, body: [] })).toBe(
      422,
    );
  });

  test('the console itself is answered, also behind a proxy that asks by another name', async () => {
    const api = await anApi();
    const { cookie } = await signedIn(api, { key: boss.secret });
    const host = new URL(api.url).host;
    for (const own of [
      { 'sec-fetch-site': 'same-origin', origin: api.url },
      { 'sec-fetch-site': 'same-origin', origin: 'https://triggers.example.com', host },
      { 'sec-fetch-site': 'none' },
      { origin: api.url },
      { origin: 'http://triggers.example.com', host: 'triggers.example.com' },
      { origin: 'http://triggers.example.com', 'x-forwarded-host': 'triggers.example.com' },
    ])
      expect([own, await statusOf(api, READ, { cookie, ...own })]).toEqual([own, 422]);
  });
});

test('only a key that may read all jobs is told the address of the Temporal UI, and when each key was used and expires', async () => {
  const all = { boss: newApiKey(), some: newApiKey(), shop: newApiKey() };
  const keys: ConfiguredApiKeys = {
    boss: { hash: all.boss.hash, may: ['read'] },
    some: { hash: all.some.hash, may: ['read'], jobs: ['crm'] },
    shop: { hash: all.shop.hash, may: ['trigger'], expires: '2027-01-31T00:00:00Z' },
  };
  const nowMs = Date.parse('2027-01-01T00:00:00Z');
  const server = await apiWithoutTemporal(keys, { temporalWorkflowsUrl: 'http://ui.example/', now: () => nowMs });
  const told = async (name: keyof typeof all, path = '/v1/session') =>
    (await askOf(server, path, { headers: { authorization: `Bearer ${all[name].secret}` } })).body;
  await told('some', '/v1/ingests');
  await told('boss', '/v1/ingests');
  expect(await told('boss')).toMatchObject({
    temporalWorkflowsUrl: 'http://ui.example/',
    keys: [
      { name: 'boss', lastUsedAt: '2027-01-01T00:00:00.000Z' },
      { name: 'some', lastUsedAt: '2027-01-01T00:00:00.000Z' },
      { name: 'shop', expires: '2027-01-31T00:00:00.000Z' },
    ],
  });
  for (const name of ['some', 'shop'] as const)
    expect(Object.keys(await told(name))).not.toEqual(expect.arrayContaining(['keys']));
  expect(JSON.stringify([await told('some'), await told('shop')])).not.toMatch(/ui\.example|boss/);
  await server.close();
});

test('the log of the API says two weeks before that a key expires, and when it has, once each', async () => {
  const { secret, hash } = newApiKey();
  const keys: ConfiguredApiKeys = { shop: { hash, may: ['read'], expires: '2027-01-31T00:00:00Z' } };
  let nowMs = Date.parse('2027-01-16T00:00:00Z');
  const said: object[] = [];
  const log = createLog('info', { write: (line) => said.push(JSON.parse(line) as object) });
  const server = await apiWithoutTemporal(keys, { now: () => nowMs, log });
  const reload = (days: number): void => {
    nowMs += days * 24 * 3_600_000;
    server.replaceKeys(keys);
    server.replaceKeys(keys);
  };
  reload(0.5);
  expect(said).toEqual([]);
  reload(1);
  reload(1);
  const problem = 'apiKeys.shop 2027-01-31T00:00:00.000Z';
  expect(said).toMatchObject([{ msg: 'an API key expires soon', problem }]);
  reload(20);
  expect(said.slice(1)).toMatchObject([{ msg: 'an API key has expired', problem }]);
  const signIn = { body: { key: secret }, headers: { 'x-triggers-console': '1' } };
  expect(await askOf(server, '/v1/session', signIn)).toMatchObject({ status: 401, body: { code: 'KeyExpired' } });
  expect(await askOf(server, '/v1/jobs', { headers: { authorization: `Bearer ${secret}` } })).toMatchObject({
    status: 401,
    body: { code: 'KeyExpired' },
  });
  await server.close();
});
