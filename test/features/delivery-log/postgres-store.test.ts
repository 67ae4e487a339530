import { afterAll, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { DeliveryLogError } from '../../../src/features/delivery-log/log-error.ts';
import { PostgresDeliveryStore } from '../../../src/features/delivery-log/postgres-store.ts';
import { expiredPartitions } from '../../../src/features/delivery-log/postgres-schema.ts';
import { aDelivery } from './a-delivery.ts';
import { TestPostgres } from '../../support/postgres.ts';
import { Way } from '../../support/way.ts';
import { afterwards } from '../../webhook/a-server.ts';

const postgres = await TestPostgres.start();
afterAll(async () => await postgres.server.stop());

const row = aDelivery({
  at: new Date().toISOString(),
  user: 'tab\tline\nback\\slash Zoë ✓',
  verdict: 'refused',
  status: 422,
  answer: '{"error":"no\\n"}',
});

function storeTo(url: string, writer: string): PostgresDeliveryStore {
  return new PostgresDeliveryStore({
    url,
    certificateAuthorities: [],
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    retentionDays: 30,
    writer,
  });
}

test('a row keeps every text as it was, in the partition of its day', async () => {
  const database = await postgres.database();
  const store = storeTo(database.url, 'one');
  await store.write({ number: 1, rows: [row], dropped: 0 });
  await store.close();
  const [kept] = await database.query('SELECT *, tableoid::regclass::text AS partition FROM deliveries');
  expect(kept).toMatchObject({
    person: row.user,
    answer: row.answer,
    status: 422,
    code: null,
    trigger_at: row.triggerAt,
    partition: `deliveries_${row.at.slice(0, 10).replaceAll('-', '')}`,
  });
  expect(new Date(kept?.['at'] as string).toISOString()).toBe(row.at);
});

test('a batch that the database has is not written again; the log says what each writer wrote, and when it dropped some', async () => {
  const database = await postgres.database();
  const [one, two] = [storeTo(database.url, 'one'), storeTo(database.url, 'two')];
  const batch = { number: 1, rows: [row, row], dropped: 0 };
  // Both make the tables at once.
  await Promise.all([one.write(batch), two.write(batch)]);
  await one.write(batch);
  await one.write({ number: 2, rows: [row], dropped: 7 });
  await one.close();
  await two.close();
  expect(await database.query('SELECT count(*)::int AS rows FROM deliveries')).toEqual([{ rows: 5 }]);
  expect(
    await database.query(
      'SELECT writer, rows::int, dropped::int, ended_at IS NOT NULL AS ended FROM delivery_writers WHERE batches >= 0 ORDER BY writer',
    ),
  ).toEqual([
    { writer: 'one', rows: 3, dropped: 0, ended: true },
    { writer: 'one 2', rows: 0, dropped: 7, ended: true },
    { writer: 'two', rows: 2, dropped: 0, ended: true },
  ]);
});

test('a worker that starts does not wait for somebody who reads', async () => {
  const database = await postgres.database();
  const first = storeTo(database.url, 'one');
  await first.write({ number: 1, rows: [row], dropped: 0 });
  await first.close();
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('BEGIN; SELECT count(*) FROM deliveries');
  const second = storeTo(database.url, 'two');
  await second.write({ number: 1, rows: [row], dropped: 0 });
  await second.close();
  await reader.end();
});

test('a log that 0.2.0 made gets the order of rows when a worker starts', async () => {
  const database = await postgres.database();
  const first = storeTo(database.url, 'one');
  await first.write({ number: 1, rows: [row], dropped: 0 });
  await first.close();
  await database.query('ALTER TABLE deliveries DROP COLUMN sequence');
  const second = storeTo(database.url, 'two');
  await second.write({ number: 1, rows: [{ ...row, sequence: 7 }], dropped: 0 });
  await second.close();
  expect(await database.query('SELECT sequence::int FROM deliveries ORDER BY 1')).toEqual([
    { sequence: 0 },
    { sequence: 7 },
  ]);
});

test('a store goes on by a new connection after it was away, and after somebody has dropped a day', async () => {
  const database = await postgres.database();
  const store = storeTo(database.url, 'one');
  await store.write({ number: 1, rows: [row], dropped: 0 });
  await database.query('DROP TABLE deliveries CASCADE');
  const second = { number: 2, rows: [row], dropped: 0 };
  await expect(store.write(second)).rejects.toBeInstanceOf(DeliveryLogError);
  await store.write(second);
  const others = "datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'audience-triggers'";
  await database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${others}`);
  const third = { number: 3, rows: [row], dropped: 0 };
  // It may notice at once, or by the first try.
  await store.write(third).catch(async () => await store.write(third));
  await store.close();
  expect(await database.query('SELECT count(*)::int AS rows FROM deliveries')).toEqual([{ rows: 2 }]);
});

test('rows that are older than the retention stop nothing: they are left out', async () => {
  const database = await postgres.database();
  const store = storeTo(database.url, 'one');
  const old = { ...row, at: new Date(Date.now() - 40 * 24 * 3_600_000).toISOString() };
  await store.write({ number: 1, rows: [old, row], dropped: 0 });
  await store.write({ number: 2, rows: [old], dropped: 0 });
  await store.close();
  expect(await database.query('SELECT count(*)::int AS rows FROM deliveries')).toEqual([{ rows: 1 }]);
});

test('a day begins although somebody has been reading since before', async () => {
  const database = await postgres.database();
  const store = storeTo(database.url, 'one');
  await store.write({ number: 1, rows: [row], dropped: 0 });
  const reader = new Client({ connectionString: database.url });
  await reader.connect();
  await reader.query('BEGIN; SELECT count(*) FROM deliveries');
  const yesterday = { ...row, at: new Date(Date.now() - 24 * 3_600_000).toISOString() };
  await store.write({ number: 2, rows: [yesterday], dropped: 0 });
  await reader.query('COMMIT');
  await reader.end();
  await store.close();
  expect(await database.query('SELECT count(*)::int AS rows FROM deliveries')).toEqual([{ rows: 2 }]);
}, 8_000);

test('a store that is closed while it connects leaves no connection behind', async () => {
  const database = await postgres.database();
  const store = storeTo(database.url, 'one');
  const writing = store.write({ number: 1, rows: [row], dropped: 0 }).catch((error: unknown) => error);
  await store.close();
  expect(await writing).toBeInstanceOf(DeliveryLogError);
});

test('a database that falls silent fails a batch in time, and lets the writer end', async () => {
  const database = await postgres.database();
  const url = new URL(database.url);
  const way = new Way(`${url.hostname}:${url.port}`);
  await way.open();
  afterwards(() => way.close());
  url.host = way.address;
  const store = new PostgresDeliveryStore({
    url: url.href,
    certificateAuthorities: [],
    connectTimeoutMs: 300,
    statementTimeoutMs: 300,
    retentionDays: 30,
    writer: 'one',
  });
  await store.write({ number: 1, rows: [row], dropped: 0 });
  way.silence();
  await expect(store.write({ number: 2, rows: [row], dropped: 0 })).rejects.toBeInstanceOf(DeliveryLogError);
  await store.close();
});

test('partitions are dropped once their last day is older than the retention; no other table is', () => {
  const names = ['deliveries_20261031', 'deliveries_20261030', 'deliveries_job', 'deliveries_20261130'];
  const now = Date.parse('2026-11-30T12:00:00Z');
  expect(expiredPartitions(names, now, 30)).toEqual(['deliveries_20261030']);
});
