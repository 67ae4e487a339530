import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { outboxSchema } from '../../src/config/consumer-config.ts';
import { OutboxTable } from '../../src/consumers/outbox/outbox-table.ts';
import { readPostgresUrl } from '../../src/sources/postgres/url.ts';
import { withClient } from '../../demo/postgres.ts';
import { until } from '../support/patience.ts';
import { type TestDatabase, TestPostgres } from '../support/postgres.ts';

const sql = (name: string): string =>
  readFileSync(new URL(`../../examples/postgres/${name}.sql`, import.meta.url), 'utf8');

let postgres: TestPostgres;
let database: TestDatabase;
beforeAll(async () => {
  postgres = await TestPostgres.start();
});
afterAll(async () => {
  await postgres.stop();
});
beforeEach(async () => {
  database = await postgres.withOutbox();
});

const INSERT = 'INSERT INTO audience_changes (audience, user_id, event, profile) VALUES ($1, $2, $3, $4)';

test('what can never be a trigger is refused where it is written, and undoes what it belongs to', async () => {
  const long = 'x'.repeat(255);
  await database.query(INSERT, [long, long, 'enter', null]);
  await database.query(INSERT, ['v', 'u', 'exit', '{}']);
  for (const [column, values] of [
    ['audience', ['', 'u', 'enter', '{}']],
    ['audience', [`${long}x`, 'u', 'enter', '{}']],
    ['user_id', ['vip', '', 'enter', '{}']],
    ['user_id', ['vip', `${long}x`, 'enter', '{}']],
    ['event', ['vip', 'u', 'joined', '{}']],
    ['profile', ['vip', 'u', 'enter', '[1]']],
    ['profile', ['vip', 'u', 'enter', 'null']],
  ] as const)
    await expect(database.query(INSERT, values)).rejects.toThrow(`"audience_changes_${column}_check"`);
  for (const [column, values] of [
    ['audience', [null, 'u', 'enter', '{}']],
    ['user_id', ['vip', null, 'enter', '{}']],
    ['event', ['vip', 'u', null, '{}']],
  ] as const)
    await expect(database.query(INSERT, values)).rejects.toThrow(`column "${column}"`);
  expect(await database.query('SELECT FROM audience_changes')).toHaveLength(2);
});

test('the time of a change is that of its row, and not of the beginning of its transaction', async () => {
  await withClient(database.url, async (slow) => {
    await slow.query('BEGIN');
    await database.query(INSERT, ['vip', 'u', 'enter', null]);
    // Later, in a transaction that began earlier.
    for (const event of ['exit', 'enter']) await slow.query(INSERT, ['vip', 'u', event, null]);
    await slow.query('COMMIT');
  });
  const rows = await database.query(
    'SELECT event, changed_at > lag(changed_at) OVER (ORDER BY id) AS later FROM audience_changes ORDER BY id',
  );
  expect(rows).toEqual([
    { event: 'enter', later: null },
    { event: 'exit', later: true },
    { event: 'enter', later: true },
  ]);
});

/** As a table is after a while with "accepted": "mark". */
const fill = async (rows: number): Promise<void> =>
  void (await database.query(
    `INSERT INTO audience_changes (audience, user_id, event, accepted_at)
     SELECT 'vip', 'u' || i, 'enter', now() FROM generate_series(1, ${rows}) AS i`,
  ));

test('rows that are kept are not read again, however many they are', async () => {
  await fill(20_000);
  await database.query('VACUUM ANALYZE audience_changes');
  const readSoFar = async (): Promise<{ readonly looks: number; readonly rows: number }> => {
    const [{ looks, rows } = {}] = await database.query(
      `SELECT seq_scan + coalesce(idx_scan, 0) AS looks, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
       FROM pg_stat_user_tables WHERE relname = 'audience_changes'`,
    );
    return { looks: Number(looks), rows: Number(rows) };
  };
  const before = await readSoFar();
  const reading = readPostgresUrl(database.url);
  if (!reading.ok) throw new Error(reading.problem);
  const config = outboxSchema.parse({ url: database.url, accepted: 'mark' });
  const table = await OutboxTable.connect(reading.address, config, () => undefined, new AbortController().signal);
  await database.query(INSERT, ['vip', 'new', 'enter', null]);
  for (const expected of [1, 0, 0]) {
    const read = await table.inTurn(500, async (rows) =>
      Promise.resolve({ accepted: rows.map(({ id }) => id), setAside: [] }),
    );
    expect(read).toBe(expected);
  }
  await table.close();
  // The database counts what a connection has done at its end at the latest.
  await until(async () => (await readSoFar()).looks >= before.looks + 4);
  expect((await readSoFar()).rows - before.rows).toBeLessThan(1_000);
});

test('it is cleaned up after every ten thousand rows that are done, however many are kept', async () => {
  const kept = 80_000;
  await fill(kept);
  await database.query('VACUUM ANALYZE audience_changes');
  const cleanings = async (): Promise<number> => {
    const [{ n } = {}] = await database.query(
      `SELECT autovacuum_count AS n FROM pg_stat_user_tables WHERE relname = 'audience_changes'`,
    );
    return Number(n);
  };
  const before = await cleanings();
  // By default it would be after a fifth of them: 16,000.
  await database.query('UPDATE audience_changes SET accepted_at = now() WHERE id <= 12000');
  await database.query("ALTER SYSTEM SET autovacuum_naptime = '1s'");
  await database.query('SELECT pg_reload_conf()');
  await until(async () => (await cleanings()) > before);
});

test('the trigger on memberships tells of a renamed one as an exit and then an enter, and of one that stays as it was nothing', async () => {
  await database.query(
    sql('schema')
      .replace(/-- A role that can only read[^]*/, '')
      .replace(/INSERT INTO[^]*/, ''),
  );
  await database.query(sql('outbox-of-memberships'));
  const [vip, gold] = ['3b9ac1f2-d7e8-4c05-a6e1-f09d582b7c34', '8e21d0c4-5f6a-4b3e-9d17-c2a0b48f6e95'];
  await database.query(`INSERT INTO audiences VALUES ($1, 'vip', 'VIP'), ($2, 'gold', 'Gold')`, [vip, gold]);
  await database.query('INSERT INTO audience_members VALUES ($1, $2), ($1, $3)', [vip, 'sam', 'kim']);
  const written = async (): Promise<unknown[]> =>
    (
      await database.query(
        `WITH gone AS (DELETE FROM audience_changes RETURNING *)
         SELECT concat_ws(' ', event, user_id, CASE replace($1, '-', '') WHEN audience THEN 'vip' ELSE 'gold' END) AS told FROM gone ORDER BY id`,
        [vip],
      )
    ).map(({ told }) => told);
  expect(await written()).toEqual(['enter sam vip', 'enter kim vip']);
  await database.query("UPDATE audience_members SET user_id = 'robin' WHERE user_id = 'sam'");
  expect(await written()).toEqual(['exit sam vip', 'enter robin vip']);
  await database.query("UPDATE audience_members SET audience_id = $1 WHERE user_id = 'kim'", [gold]);
  expect(await written()).toEqual(['exit kim vip', 'enter kim gold']);
  await database.query('UPDATE audience_members SET user_id = user_id, audience_id = audience_id');
  expect(await written()).toEqual([]);
});
