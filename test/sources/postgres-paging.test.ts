import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { postgresSource } from '../../src/config/source-config.ts';
import { queriesOf } from '../../src/sources/postgres/queries.ts';
import type { AudienceSource } from '../../src/sources/source.ts';
import { type TestDatabase, TestPostgres } from '../support/postgres.ts';
import { openedPostgres } from './a-postgres-source.ts';

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
  const tookMs: number[] = [];
  const seen = new Set<string>();
  let shown = 0;
  for (let after: string | undefined; ;) {
    const startedAt = performance.now();
    const { ids, next } = await source.members(VIP, after, PAGE);
    tookMs.push(performance.now() - startedAt);
    for (const id of ids) seen.add(id);
    shown += ids.length;
    if (next === undefined) break;
    after = next;
  }
  expect([shown, seen.size, tookMs.length]).toEqual([MEMBERS, MEMBERS, MEMBERS / PAGE]);
  // Reading from the top each time, or by OFFSET, the last fifth would take nine times as long as the first.
  const fifth = tookMs.length / 5;
  const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
  expect(median(tookMs.slice(-fifth)) / median(tookMs.slice(0, fifth))).toBeLessThan(5);
});
