import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { postgresSource, type PostgresSourceInput } from '../../../src/features/source-postgres/config.ts';
import { stringifyJson } from '../../../src/domain/json.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import { audienceIdOf } from '../../../src/sources/source.ts';
import type { PostgresSourceOptions } from '../../../src/features/source-postgres/source.ts';
import { type TestDatabase, TestPostgres } from '../../support/postgres.ts';
import { profileFields } from '../../support/profile-fields.ts';
import { openedPostgres } from './a-postgres-source.ts';
import { queriesOf } from '../../../src/features/source-postgres/queries.ts';

const VIP = 'a'.repeat(32);
const EVERYONE = 'SELECT 1 AS id, $$all$$ AS slug, $$All$$ AS name';

const postgres = await TestPostgres.start();
afterAll(() => postgres.stop());
const sources: AudienceSource[] = [];
afterEach(async () => {
  await Promise.all(sources.splice(0).map((source) => source.close()));
});

async function open(url: string, rest: Partial<PostgresSourceInput> = {}, options: PostgresSourceOptions = {}) {
  const source = await openedPostgres(url, rest, options);
  sources.push(source);
  return source;
}

/** A source over a schema of the test's own. */
async function sourceOf(sql: string, rest: Partial<PostgresSourceInput> = {}) {
  const database = await postgres.database();
  await database.query(sql);
  return await open(database.url, rest);
}

async function pagesOf(source: AudienceSource, audience: string, limit: number): Promise<string[][]> {
  const pages: string[][] = [];
  for (let after: string | undefined; ;) {
    const page = await source.members(audience, after, limit);
    pages.push([...page.ids]);
    if (page.next === undefined) return pages;
    after = page.next;
  }
}

test('the example schema serves with nothing but a URL, to a role that can only read it', async () => {
  const database = await postgres.database();
  await database.query(await readFile(new URL('../../../examples/postgres/schema.sql', import.meta.url), 'utf8'));
  const source = await open(database.url.replace('postgres:postgres@', 'audience_triggers@'));
  expect(await source.audiences()).toEqual([
    { id: '8e21d0c45f6a4b3e9d17c2a0b48f6e95', slug: 'newsletter', name: 'Newsletter readers', size: 1 },
    { id: '3b9ac1f2d7e84c05a6e1f09d582b7c34', slug: 'vip', name: 'VIP customers', size: 2 },
  ]);
  expect(await source.members('3b9ac1f2d7e84c05a6e1f09d582b7c34', undefined, 10)).toEqual({
    ids: ['12645278470990184693', '3318840061257794210'],
  });
  expect((await profileFields(source, ['7076027172059065053'])).get('7076027172059065053')).toMatchObject({
    email: 'beth@example.com',
    loyalty_number: 9_007_199_254_740_993n,
  });
});

test.each([
  [
    'bigint',
    ['-5', '3', '20', '100', '9223372036854775807'],
    ['007', '1e2', '9223372036854775808', 'x', '', '3.0', ' 3'],
  ],
  ['integer', ['-5', '3', '20', '2147483647'], ['2147483648', '+3', 'x']],
  ['smallint', ['-5', '3', '20', '32767'], ['32768']],
  ['numeric', ['-5', '3', '20', '9223372036854775808', '123456789012345678901234567890'], ['3.0', 'NaN', '03']],
  [
    'uuid',
    ['00000000-0000-4000-8000-000000000001', 'ffffffff-0000-4000-8000-000000000001'],
    ['FFFFFFFF-0000-4000-8000-000000000001', 'x'],
  ],
  ['varchar(20)', ['10', '9', 'B', 'a', 'ä'], ['b', '', 'a ']],
])('the source pages and looks up ids of the type %s, and knows which texts are none', async (type, ids, others) => {
  const values = ids.map((id) => `('${id}')`).join(', ');
  const source = await sourceOf(
    `CREATE TABLE people (id ${type} PRIMARY KEY); INSERT INTO people VALUES ${values};
     CREATE TABLE audience_members (audience_id integer, user_id ${type}, PRIMARY KEY (audience_id, user_id));
     INSERT INTO audience_members SELECT 1, id FROM people;`,
    { audiences: null, profiles: { table: 'people', user: 'id', columns: 'all' } },
  );
  const id = (await source.audiences())[0]?.id ?? '';
  for (const limit of [1, 2, 100]) expect((await pagesOf(source, id, limit)).flat().sort()).toEqual([...ids].sort());
  expect([...(await source.profiles([...others, ...ids, '\ud800', 'x\0'])).keys()].sort()).toEqual([...ids].sort());
  expect((await source.profiles(others)).size).toBe(0);
  for (const user of ids) expect([user, await source.isMember(id, user)]).toEqual([user, true]);
  for (const user of [...others, '\ud800', 'x\0'])
    expect([user, await source.isMember(id, user)]).toEqual([user, false]);
});

test('an id of another type is refused when it opens, with what to do', async () => {
  const made = sourceOf(
    `CREATE TABLE profiles (user_id date, profile jsonb); CREATE TABLE audience_members (audience_id int, user_id date);`,
    { audiences: null },
  );
  await expect(made).rejects.toThrow(/audience_members.*ids are of the type date.*casts them/);
});

test('all columns but the one of the user are the fields of a profile, with every digit', async () => {
  const people = `CREATE TABLE people (id bigint PRIMARY KEY, email text, points bigint, price numeric, tags text[], "Odd ""Name""" int, at timestamptz);
    INSERT INTO people VALUES (7, 'a@example.com', 9007199254740993, 0.1234567890123456789, '{a,"b c"}', NULL, '2026-11-25T08:30:00.000001Z');
    CREATE TABLE audience_members (audience_id int, user_id bigint);`;
  const all = await sourceOf(people, { audiences: null, profiles: { table: 'people', user: 'id', columns: 'all' } });
  expect((await profileFields(all, ['7'])).get('7')).toEqual({
    email: 'a@example.com',
    points: 9_007_199_254_740_993n,
    price: 0.12345678901234568, // What a double holds of it; in the text that goes out, all is there.
    tags: ['a', 'b c'],
    'Odd "Name"': null,
    at: expect.stringMatching(/^2026-11-25T0?8:30:00\.000001\+00:00$/),
  });
  const columns = ['points', 'Odd "Name"'];
  const some = await sourceOf(people, { audiences: null, profiles: { table: 'people', user: 'id', columns } });
  expect((await profileFields(some, ['7'])).get('7')).toEqual({ points: 9_007_199_254_740_993n, 'Odd "Name"': null });
});

test('a profile of the type json keeps its spelling, and one that is null has no fields', async () => {
  const source = await sourceOf(
    `CREATE TABLE profiles (user_id text, profile json); CREATE TABLE audience_members (audience_id int, user_id text);
     INSERT INTO profiles VALUES ('1', '{"b":1.50,"a":1,"a":2}'), ('2', NULL);`,
    { audiences: null },
  );
  const found = await profileFields(source, ['1', '2']);
  expect(stringifyJson(found.get('1') ?? {})).toMatch(/"a":2/);
  expect(found.get('2')).toEqual({});
});

test('a profile that is not an object is reported, and costs nobody else theirs', async () => {
  const database = await postgres.filled();
  await database.query(`INSERT INTO profiles VALUES ('1', '[1]'), ('2', '{"n": 2}'), ('3', '"text"')`);
  const problems: string[] = [];
  const source = await open(database.url, {}, { onProblem: (text) => problems.push(text) });
  expect([...(await profileFields(source, ['1', '2', '3']))]).toEqual([['2', { n: 2 }]]);
  expect(problems).toEqual([
    'the profiles (profiles), the one of "1" is not a JSON object',
    'the profiles (profiles), the one of "3" is not a JSON object',
  ]);
});

test('the source refuses a cursor that no member id can be, but accepts an id of somebody outside the audience', async () => {
  const source = await sourceOf(
    `CREATE TABLE profiles (user_id int, profile jsonb); CREATE TABLE audience_members (audience_id int, user_id int);
     INSERT INTO audience_members SELECT 1, n FROM generate_series(10, 90, 10) AS n;`,
    { audiences: null },
  );
  const id = (await source.audiences())[0]?.id ?? '';
  await expect(source.members(id, 'page-2', 5)).rejects.toThrow(/"page-2" is not a cursor/);
  expect(await source.members(id, '75', 5)).toEqual({ ids: ['80', '90'] });
});

test('names with capitals, blanks, quotes and a schema are taken as they are', async () => {
  const source = await sourceOf(
    `CREATE SCHEMA "My Crm"; CREATE TABLE "My Crm"."Peo""ple" ("User Id" text, "Fields.1" jsonb);
     CREATE TABLE "My Crm".members ("select" text, "User Id" text);
     CREATE TABLE "My Crm"."a.b" (id text, "Slug" text, "Title" text);
     INSERT INTO "My Crm"."Peo""ple" VALUES ('1', '{"n": 1}'); INSERT INTO "My Crm".members VALUES ('x', '1');
     INSERT INTO "My Crm"."a.b" VALUES ('x', 'vip', 'VIP');`,
    {
      profiles: { table: 'My Crm."Peo""ple"', user: 'User Id', profile: 'Fields.1' },
      memberships: { table: 'My Crm.members', audience: 'select', user: 'User Id' },
      audiences: { table: 'My Crm."a.b"', id: 'id', slug: 'Slug', name: 'Title' },
    },
  );
  const [audience] = await source.audiences();
  expect(audience).toMatchObject({ slug: 'vip', name: 'VIP', size: 1 });
  expect(await source.members(audience?.id ?? '', undefined, 5)).toEqual({ ids: ['1'] });
  expect(await profileFields(source, ['1'])).toEqual(new Map([['1', { n: 1 }]]));
});

test('audiences may be those that have members, without a table of their own', async () => {
  const source = await sourceOf(
    `CREATE TABLE profiles (user_id text, profile jsonb); CREATE TABLE audience_members (audience_id text, user_id text);
     INSERT INTO audience_members VALUES ('vip', '1'), ('vip', '2'), ('news', '1'), (NULL, '3');`,
    { audiences: null },
  );
  expect(await source.audiences()).toEqual([
    { id: audienceIdOf('news'), slug: 'news', name: 'news', size: 1 },
    { id: audienceIdOf('vip'), slug: 'vip', name: 'vip', size: 2 },
  ]);
  expect(await source.members(audienceIdOf('vip'), undefined, 5)).toEqual({ ids: ['1', '2'] });
});

test('an audience keeps the same 32 hex digits: its own, those of its UUID, or made of its id', () => {
  expect(audienceIdOf(VIP)).toBe(VIP);
  expect(audienceIdOf('3B9AC1F2-d7e8-4c05-a6e1-f09d582b7c34')).toBe('3b9ac1f2d7e84c05a6e1f09d582b7c34');
  // Kept in jobs: these may never change.
  expect(audienceIdOf('42')).toBe('73475cb40a568e8da8a045ced110137e');
  expect(audienceIdOf('vip')).toBe('f9505a739a8fb8e851942c3f973d4bbb');
});

test.each([
  [`(NULL, 'a', 'A')`, /an audience has no id/],
  [`('1', NULL, 'A')`, /the audience "1" has no slug/],
  [`('1', '${'b'.repeat(32)}', 'A')`, /the audience "1" has a slug that looks like an id/],
  [`('1', 'a', 'A'), ('2', 'a', 'B')`, /several audiences have the slug "a"/],
  [`('${VIP}', 'a', 'A'), ('${VIP.toUpperCase()}', 'b', 'B')`, /"a{32}" and "A{32}" are one id/],
  [`('1', 'a', 'A', -1)`, /the audience "1" has a window of "-1" minutes/],
])(
  'rows of audiences like %s are an error that says which; other audiences are not concerned',
  async (rows, message) => {
    const database = await postgres.database();
    await database.query(
      `CREATE TABLE profiles (user_id text, profile jsonb); CREATE TABLE audience_members (audience_id text, user_id text);
     CREATE TABLE audiences (id text, slug text, name text, w int); INSERT INTO audience_members VALUES ('fine', '1');
     INSERT INTO audiences VALUES ('fine', 'fine', 'Fine'); INSERT INTO audiences VALUES ${rows};`,
    );
    const source = await open(database.url, { audiences: { windowMinutes: 'w' } });
    await expect(source.audiences()).rejects.toThrow(message);
    expect(await source.members(audienceIdOf('fine'), undefined, 5)).toEqual({ ids: ['1'] });
  },
);

test('an audience that is new is found at once; its own query may say sizes and windows', async () => {
  const database = await postgres.filled();
  const queries = {
    audiences: 'SELECT id, slug, name, 20 AS window_minutes, 12 AS size FROM audiences',
    members: 'SELECT user_id AS "user" FROM audience_members WHERE audience_id = $1',
    profiles: 'SELECT user_id AS "user", profile FROM profiles',
  };
  const source = await open(database.url, { queries });
  await expect(source.members(VIP, undefined, 5)).rejects.toThrow(/no audience with the id a{32}.*Known are: none\./);
  await database.query(`INSERT INTO audiences (id, slug, name) VALUES ('${VIP}', 'vip', 'VIP')`);
  expect(await source.members(VIP, undefined, 5)).toEqual({ ids: [] });
  expect(await source.audiences()).toEqual([{ id: VIP, slug: 'vip', name: 'VIP', windowMinutes: 20, size: 12 }]);
});

test('members without an id, with an impossible one or listed several times do not stop a page', async () => {
  const source = await sourceOf(
    `CREATE TABLE profiles (user_id text, profile jsonb);
     CREATE VIEW audience_members AS SELECT 1 AS audience_id, user_id FROM (VALUES
       (NULL), (''), (''), ('a'), ('a'), ('a'), ('b'), (repeat('b', 256)), (repeat('b', 300)), ('c'), (NULL), ('c')) AS v (user_id);`,
    { audiences: null },
  );
  const id = (await source.audiences())[0]?.id ?? '';
  for (const limit of [1, 2, 3, 100])
    expect([limit, (await pagesOf(source, id, limit)).flat()]).toEqual([limit, ['a', 'b', 'c']]);
  // Places are kept in histories: what can be no id, and may be of any length, is none either.
  expect(await source.members(id, undefined, 3)).toEqual({ ids: ['a'], next: 'a' });
  expect(await source.members(id, 'a', 2)).toEqual({ ids: ['b'], next: 'b' });
});

test.each<[what: string, rest: Partial<PostgresSourceInput>, message: RegExp]>([
  ['a table', { memberships: { table: 'members' } }, /the members \(members\): relation "members" does not exist/],
  ['a column', { memberships: { user: 'userid' } }, /\(audience_members\): column "userid" does not exist/],
  ['a column of profiles', { profiles: { profile: 'fields' } }, /\(profiles\): column p\.fields does not exist/],
  [
    'a schema',
    { audiences: { table: 'crm.audiences' } },
    /\(crm\.audiences\): relation "crm\.audiences" does not exist/,
  ],
  [
    'a query',
    { queries: { audiences: EVERYONE, members: 'SELEC', profiles: 'SELECT 1' } },
    /\(queries\.members\): syntax error/,
  ],
  [
    'a query without its column',
    { queries: { audiences: 'SELECT 1 AS id', members: 'x', profiles: 'x' } },
    /\(queries\.audiences\).*no column slug, name/,
  ],
  [
    'a query without $1',
    { queries: { audiences: EVERYONE, members: `SELECT 'a'::text AS user`, profiles: 'x' } },
    /\(queries\.members\): could not determine data type of parameter \$1/,
  ],
])('%s that does not exist is an error that names it when the source opens', async (_, rest, message) => {
  const { url } = await postgres.filled();
  await expect(open(url, rest)).rejects.toThrow(message);
});

describe('pages of a large audience', () => {
  const VIP = 'a'.repeat(32);
  const MEMBERS = 200_000;
  const PAGE = 2000;

  let postgres: TestPostgres;
  let database: TestDatabase;
  let source: AudienceSource;
  beforeAll(async () => {
    postgres = await TestPostgres.start();
    database = await postgres.filled({ audiences: [{ id: VIP, slug: 'vip', name: 'VIP', members: [] }] });
    // In an order that is not theirs, so that neighbours in the index are not neighbours on the disk.
    await database.query(
      `INSERT INTO audience_members SELECT '${VIP}', (1e18 + mod(n * 7919, ${MEMBERS}))::text FROM generate_series(1, ${MEMBERS}) AS n`,
    );
    await database.query('ANALYZE');
    source = await openedPostgres(database.url);
  });
  afterAll(async () => {
    await source.close();
    await postgres.stop();
  });

  test.each([
    ['tables', {}],
    [
      'queries',
      {
        queries: {
          audiences: 'SELECT * FROM audiences',
          members: 'SELECT user_id AS "user" FROM audience_members WHERE audience_id = $1',
          profiles: 'SELECT user_id AS "user", profile FROM profiles',
        },
      },
    ],
  ])('late pages of %s begin in the index, and sort nothing', async (_, form) => {
    const { nextMembers } = queriesOf(postgresSource.parse({ kind: 'postgres', url: database.url, ...form }));
    const plan = await database.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${nextMembers.text}`, [
      VIP,
      PAGE + 1,
      '1000000000000150000',
    ]);
    const text = JSON.stringify(plan);
    expect(text).toMatch(/"Node Type":"Index Only Scan"/);
    expect(text).toMatch(/"Index Cond":"[^}]*user_id > '1000000000000150000'/);
    expect(text).not.toMatch(/"Node Type":"(?:Incremental )?Sort"|Seq Scan/);
  });

  test('the last pages of 200,000 members cost what the first do, and show everybody once', async () => {
    const seen = new Set<string>();
    const cursors: string[] = [];
    let shown = 0;
    for (let after: string | undefined; ;) {
      const { ids, next } = await source.members(VIP, after, PAGE);
      for (const id of ids) seen.add(id);
      shown += ids.length;
      if (next === undefined) break;
      cursors.push(next);
      after = next;
    }
    expect([shown, seen.size, cursors.length + 1]).toEqual([MEMBERS, MEMBERS, MEMBERS / PAGE]);
    const tookMs = async (after: string | undefined): Promise<number> => {
      const startedAt = performance.now();
      await source.members(VIP, after, PAGE);
      return performance.now() - startedAt;
    };
    const times: { first: number; last: number }[] = [];
    // By turns, so that both meet whatever else the machine does.
    for (let i = 0; i < 20; i++)
      times.push({ first: await tookMs(cursors[i]), last: await tookMs(cursors.at(i - 20)) });
    const median = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
    // Reading from the top each time, or by OFFSET, the last fifth would take nine times as long as the first.
    expect(median(times.map(({ last }) => last)) / median(times.map(({ first }) => first))).toBeLessThan(5);
  });
});
