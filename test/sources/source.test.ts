import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { measuredSource } from '../../src/sources/source.ts';
import { MemorySource } from '../support/memory-source.ts';
import { sourceSchema } from '../../src/app/source.ts';
import { openSource } from '../../src/app/source.ts';
import { startProxy } from '../webhook/a-proxy.ts';
import { afterwards } from '../webhook/a-server.ts';
import { startJsonServer } from './a-json-server.ts';
import type { Json, JsonObject } from '../../src/contract/trigger.ts';
import { fieldsOf } from '../../src/domain/message.ts';
import { ProfileCache } from '../../src/sources/profile-cache.ts';
import { readPostgresUrl } from '../../src/postgres/connection.ts';
import { tempFolder } from '../support/temp-folder.ts';

const VIP = { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' };

test('every call is reported when it ends, with its kind, outcome and duration; its answer is the source’s own', async () => {
  const source = new MemorySource({ audiences: [{ ...VIP, members: ['ada'] }], profiles: { ada: { name: 'Ada' } } });
  const calls: (readonly unknown[])[] = [];
  const measured = measuredSource(source, (...call) => void calls.push(call));
  source.delayMs = 20;
  // By the real clock, a timer that is set late in a busy turn fires early.
  jest.useFakeTimers();
  const answerTo = async <T>(asked: Promise<T>): Promise<T> => {
    const [answer] = await Promise.all([asked, jest.advanceTimersByTimeAsync(20)]);
    return answer;
  };
  try {
    expect(await answerTo(measured.audiences())).toEqual([{ ...VIP, size: 1 }]);
    expect(await answerTo(measured.members(VIP.id, undefined, 10))).toEqual({ ids: ['ada'] });
    expect(await answerTo(measured.isMember(VIP.id, 'ada'))).toBe(true);
    expect(await answerTo(measured.profiles(['ada']))).toEqual(new Map([['ada', { name: 'Ada' }]]));
    expect(await answerTo(measured.memberships?.(['ada']) ?? Promise.resolve(undefined))).toEqual(
      new Map([['ada', ['vip']]]),
    );
    source.failure = new Error('down');
    await expect(answerTo(measured.profiles(['ada']))).rejects.toThrow('down');
  } finally {
    jest.useRealTimers();
  }
  expect(calls).toEqual([
    ['audiences', true, 20],
    ['members', true, 20],
    ['isMember', true, 20],
    ['profiles', true, 20],
    ['memberships', true, 20],
    ['profiles', false, 20],
  ]);
  source.memberships = undefined;
  expect(measuredSource(source, () => undefined).memberships).toBeUndefined();
  source.lagMs = 5;
  expect(measured.lagMs).toBe(5);
});

test('a file source reports what it skips', async () => {
  const folder = tempFolder();
  await mkdir(join(folder, 'audiences'));
  await writeFile(join(folder, 'profiles.ndjson'), 'x\n');
  const told: string[] = [];
  const onProblem = (text: string): number => told.push(text);
  const source = await openSource(sourceSchema.parse({ kind: 'file', folder, quietMs: 0 }), { network: {}, onProblem });
  afterwards(() => source.close());
  await source.profiles(['1']);
  expect(told).toEqual([expect.stringMatching(/^profiles\.ndjson, line 1/)]);
});

test.each<[kind: string, settings: object]>([
  ['lytics', { token: 't', userField: '_uid' }],
  ['http', { audiences: { url: '/v2/segment', items: 'data', id: 'id' }, members: { url: '/{audience}' } }],
])(
  '[S12] a %s source is asked at the address that is named, through the proxy of the worker, or past it',
  async (kind, settings) => {
    const service = await startJsonServer(() => ({ json: { status: 200, data: [] } }));
    const proxy = await startProxy();
    const asked = async (more: object): Promise<void> => {
      const config = sourceSchema.parse({ kind, url: service.url, ...settings, ...more });
      const source = await openSource(config, { network: { proxy: proxy.url }, onProblem: () => undefined });
      afterwards(() => source.close());
      expect(await source.audiences()).toEqual([]);
    };
    await asked({});
    expect(proxy.asked).toEqual([new URL(service.url).host]);
    await asked({ throughProxy: false });
    expect(proxy.asked).toHaveLength(1);
    expect(service.asked).toHaveLength(2);
  },
);

const fieldsIn = (cache: ProfileCache, user: string): JsonObject | undefined => {
  const profile = cache.get(user);
  return profile && fieldsOf(profile);
};

test('the cache returns profiles digit for digit, with names that only a parser reads right', () => {
  const cache = new ProfileCache({ maxBytes: 10_000, maxAgeMs: 1000 });
  const profile = { points: 9_007_199_254_740_993n, 'a"b': 1, nested: { ä: [null] } };
  cache.set('1', profile);
  expect(fieldsIn(cache, '1')).toEqual(profile);
  expect(cache.get('2')).toBeUndefined();
});

test('the cache never holds more bytes than it may, and drops the profile that was asked for longest ago', () => {
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 1000 });
  for (const user of ['1', '2', '3', '4']) cache.set(user, { text: 'x'.repeat(250) });
  expect(cache.bytes).toBeLessThanOrEqual(3000);
  expect(['1', '2', '3', '4'].map((user) => cache.get(user) !== undefined)).toEqual([true, true, true, true]);
  cache.get('1');
  cache.set('5', { text: 'x'.repeat(250) });
  expect(['1', '2', '3', '4', '5'].map((user) => cache.get(user) !== undefined)).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
  for (let i = 0; i < 1000; i++) cache.set('5', { i });
  expect(cache.bytes).toBeLessThanOrEqual(3000);
  cache.set('6', { text: 'x'.repeat(5000) });
  expect(cache.get('6')).toBeUndefined();
  expect(cache.get('1')).toBeDefined();
});

test('a profile that is too old is not given, and not held', () => {
  let nowMs = 0;
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 1000, nowMs: () => nowMs });
  cache.set('1', {});
  nowMs = 999;
  expect(cache.get('1')).toBeDefined();
  nowMs = 1000;
  expect(cache.get('1')).toBeUndefined();
  expect(cache.bytes).toBe(0);
});

test('the cache holds no profile when no age is allowed', () => {
  const cache = new ProfileCache({ maxBytes: 3000, maxAgeMs: 0, nowMs: () => 0 });
  cache.set('1', {});
  expect(cache.bytes).toBe(0);
});

test('the cache does not hold a profile that is nested too deep to write, and nothing breaks', () => {
  // Not for JSON.stringify, which writes any depth on Node 26.
  let deep: Json = 2n ** 64n;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const cache = new ProfileCache({ maxBytes: 10_000_000, maxAgeMs: 1000 });
  cache.set('1', { deep });
  expect(cache.get('1')).toBeUndefined();
});

const address = (url: string) => {
  const reading = readPostgresUrl(url);
  if (!reading.ok) throw new Error(reading.problem);
  return reading.address;
};

test('a URL says where and as whom; what it shows to people says only where', () => {
  expect(address('postgres://app:p%40ss%2Fword@db.example.com:6432/crm?sslmode=require')).toEqual({
    host: 'db.example.com',
    port: 6432,
    database: 'crm',
    user: 'app',
    password: 'p@ss/word',
    tls: 'verified',
    shown: 'db.example.com:6432/crm',
  });
  expect(address('postgresql:///crm?host=/var/run/postgresql')).toMatchObject({
    host: '/var/run/postgresql',
    database: 'crm',
    tls: 'none',
  });
  expect(address('postgres://[::1]:5432/crm').host).toBe('::1');
});

test.each([
  ['', 'none'],
  ['?sslmode=disable', 'none'],
  ['?sslmode=require', 'verified'],
  ['?sslmode=verify-ca', 'verified'],
  ['?sslmode=verify-full', 'verified'],
  ['?sslmode=no-verify', 'unverified'],
])('with %j TLS is %s', (query, tls) => {
  expect(address(`postgres://db.example.com/crm${query}`).tls).toBe(tls);
});

test.each([
  ['mysql://app:s3cret@db/crm', /must begin with postgres:\/\//],
  ['postgres://app:s3/cret@db:5432/crm', /written as %40/],
  ['postgres://app:7/s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:/s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:7?s3cret@db:5432/crm', /written as %40/],
  ['postgres://app:s3cret@db:5432/crm?sslmode=prefer', /sslmode must be one of disable, require/],
  ['postgres://app:s3cret@db:5432/crm?sslmode=constructor', /sslmode must be one of disable, require/],
  [
    'postgres://app:s3cret@db:5432/crm?sslrootcert=ca.pem',
    /only the parameters sslmode and host are known, not "sslrootcert"/,
  ],
  ['postgres://app:s3cret@db:5432/crm#s3cret', /must not contain #/],
  ['postgres://app:s3cret%@db:5432/crm', /a literal % must be written as %25/],
])('a URL that cannot be meant is refused without repeating it: %s', (url, message) => {
  const { error } = sourceSchema.safeParse({ kind: 'postgres', url });
  expect(error?.issues.map(({ message }) => message).join()).toMatch(message);
  expect(JSON.stringify(error?.issues)).not.toMatch(/s3|cret/);
});

test.each([
  ['tables and queries', { profiles: {}, queries: { audiences: 'a', members: 'b', profiles: 'c' } }, /not both/],
  ['a profile in one column and in several', { profiles: { profile: 'p', columns: 'all' } }, /not both/],
  ['a query that is empty', { queries: { audiences: ' ;', members: 'b', profiles: 'c' } }, /A query must be a SELECT/],
  ['a name of three parts', { profiles: { table: 'a.b.c' } }, /A table must be named/],
])('%s is refused', (_, rest, message) => {
  const { error } = sourceSchema.safeParse({ kind: 'postgres', url: 'postgres://db/crm', ...rest });
  expect(error?.issues.map(({ message }) => message).join()).toMatch(message);
});
