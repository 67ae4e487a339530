import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DeliveryFilter, DeliveryRow } from '../../src/contract/delivery.ts';
import { deliveryQuery } from '../../src/delivery-log/delivery-query.ts';
import { PostgresDeliveryReader } from '../../src/delivery-log/postgres-reader.ts';
import { PostgresDeliveryStore } from '../../src/delivery-log/postgres-store.ts';
import { type TestDatabase, TestPostgres } from '../support/postgres.ts';

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
const FIRST_DAY = Date.UTC(2026, 10, 1);
const DAY_MS = 24 * 60 * 60 * 1000;

/** Two a day have the same time. */
const ROWS: readonly DeliveryRow[] = Array.from({ length: 60 }, (_, n) => ({
  at: new Date(FIRST_DAY + Math.floor(n / 2) * DAY_MS).toISOString(),
  jobId: n % 3 === 0 ? 'crm' : 'mail',
  deliveryId: (n * 7919).toString(16).padStart(32, 'a'),
  user: `p${n % 10}`,
  audience: n % 4 === 0 ? 'vip' : 'news',
  event: n % 5 === 0 ? 'exit' : 'enter',
  triggerAt: '2026-11-01T00:00:00.123456789Z',
  attempt: 1 + (n % 2),
  verdict: n % 6 === 0 ? 'refused' : n === 31 ? 'transient' : 'delivered',
  ...(n === 31 ? { code: 'ECONNREFUSED' } : { status: n % 6 === 0 ? 422 : 200 }),
  durationMs: n,
  requestBytes: 300,
  ...(n % 6 === 0 ? { answer: 'no' } : {}),
  worker: '1@here',
  lane: 'live',
}));
const NEWEST_FIRST = ROWS.toSorted(
  (a, b) => b.at.localeCompare(a.at) || (b.deliveryId < a.deliveryId ? -1 : 1) || b.attempt - a.attempt,
);

const postgres = await TestPostgres.start();
let database: TestDatabase;
let reader: PostgresDeliveryReader;
beforeAll(async () => {
  database = await postgres.database();
  const store = new PostgresDeliveryStore({ ...SETTINGS, url: database.url, retentionDays: 3650, writer: 'one' });
  await store.write({ number: 1, rows: ROWS, dropped: 0 });
  await store.close();
  reader = new PostgresDeliveryReader({ ...SETTINGS, url: database.url });
});
afterAll(async () => {
  await reader.close();
  await postgres.server.stop();
});

test('pages show every delivery once, newest first, also those of the same moment', async () => {
  const found: DeliveryRow[] = [];
  let next: string | undefined;
  do {
    const page = await reader.find({}, 7, next);
    found.push(...page.rows);
    ({ next } = page);
  } while (next !== undefined);
  expect(found).toEqual(NEWEST_FIRST);
});

test.each<[DeliveryFilter, (row: DeliveryRow) => boolean]>([
  [{ jobId: 'crm' }, ({ jobId }) => jobId === 'crm'],
  [{ user: 'p3' }, ({ user }) => user === 'p3'],
  [{ audience: 'vip', event: 'exit' }, ({ audience, event }) => audience === 'vip' && event === 'exit'],
  [{ deliveryId: ROWS[8]?.deliveryId }, (row) => row === ROWS[8]],
  [{ verdict: 'failed' }, ({ verdict }) => verdict !== 'delivered'],
  [{ verdict: 'refused', status: 422 }, ({ status }) => status === 422],
  [{ code: 'ECONNREFUSED' }, ({ code }) => code === 'ECONNREFUSED'],
  [{ slowerThanMs: 50 }, ({ durationMs }) => durationMs > 50],
  [
    { since: '2026-11-10T00:00:00Z', until: '2026-11-12T00:00:00Z' },
    ({ at }) => at >= '2026-11-10' && at < '2026-11-12',
  ],
])('a filter finds all that it describes, and nothing else: %j', async (filter, isMeant) => {
  const { rows, next } = await reader.find(filter, 100);
  expect(rows).toEqual(NEWEST_FIRST.filter(isMeant));
  expect(rows.length).toBeGreaterThan(0);
  expect(next).toBeUndefined();
});

test('the beginning of a webhook-id is enough', async () => {
  const whole = ROWS[59]?.deliveryId ?? '';
  const { rows } = await reader.find({ deliveryId: whole.slice(0, 29) }, 100);
  expect(rows).toEqual(NEWEST_FIRST.filter(({ deliveryId }) => deliveryId.startsWith(whole.slice(0, 29))));
});

test('a page of some days reads no other partition', async () => {
  const filter = { since: '2026-11-10T00:00:00Z', until: '2026-11-12T00:00:00Z' };
  const { text, values } = deliveryQuery(filter, 50);
  const plan = await database.query(`EXPLAIN ${text}`, values);
  const partitions = plan.flatMap((line) => String(line['QUERY PLAN']).match(/deliveries_2026\d{4}\b/g) ?? []);
  expect([...new Set(partitions)].toSorted()).toEqual(['deliveries_20261110', 'deliveries_20261111']);
});

test('a log that no worker has written is empty; one that is away says so, without its password', async () => {
  const empty = await postgres.database();
  const [one, away] = [empty.url, 'postgres://me:hidden@127.0.0.1:1/none'].map(
    (url) => new PostgresDeliveryReader({ ...SETTINGS, url }),
  );
  expect(await one?.find({}, 10)).toEqual({ rows: [] });
  const failure: unknown = await away?.find({}, 10).catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: 'DeliveryLogError', code: 'ECONNREFUSED' });
  expect(String(failure)).not.toContain('hidden');
  await one?.close();
  await away?.close();
});
