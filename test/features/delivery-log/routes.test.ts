import { afterAll, expect, test } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { request } from 'undici';
import { newApiKey } from '../../../src/config/references.ts';
import { csvLine } from '../../../src/features/delivery-log/delivery-csv.ts';
import { openDeliveryReader, openDeliveryStore } from '../../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { aDelivery } from './a-delivery.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { apiWithoutTemporal, askOf } from '../../api/an-api.ts';

const place = { folder: tempFolder() };
const store = openDeliveryStore({ ...place, retentionDays: 30 }, '1@here 0f');
const now = Date.now();
const ROWS = [
  aDelivery({ at: new Date(now - 3_000).toISOString(), jobId: 'crm', deliveryId: 'aa1aaaaa', user: '=1+1' }),
  aDelivery({
    at: new Date(now - 2_000).toISOString(),
    jobId: 'mail',
    deliveryId: 'bb1bbbbb',
    verdict: 'refused',
    status: 422,
  }),
  aDelivery({
    at: new Date(now - 1_000).toISOString(),
    jobId: 'crm',
    deliveryId: 'cc1ccccc',
    answer: 'a "no",\nand why',
  }),
];
await store.write({ number: 1, rows: ROWS, dropped: 0 });
// Counts wait for writers that live.
await store.close();
const deliveries = openDeliveryReader(place, sealingWith([]));
const [all, some] = [newApiKey(), newApiKey()];
const keys = {
  all: { hash: all.hash, may: ['read' as const] },
  some: { hash: some.hash, may: ['read' as const], jobs: ['crm'] },
};
const api = await apiWithoutTemporal(keys, { deliveries });
afterAll(async () => {
  await api.close();
  await deliveries.close();
  await store.close();
});

const ask = async (path: string, { secret } = all) =>
  await askOf(api, path, { headers: { authorization: `Bearer ${secret}` } });

test('deliveries come newest first, page by page, as far as the filters match', async () => {
  const first = await ask('/v1/deliveries?limit=2');
  expect(first.body).toMatchObject({ deliveries: [ROWS[2], ROWS[1]] });
  const { next } = first.body as unknown as { readonly next: string };
  expect((await ask(`/v1/deliveries?limit=2&after=${next}`)).body).toMatchObject({ deliveries: [ROWS[0]] });
  expect((await ask('/v1/deliveries?verdict=failed&status=422&id=bb')).body).toMatchObject({ deliveries: [ROWS[1]] });
  for (const wrong of ['after=bogus', 'since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z'])
    expect((await ask(`/v1/deliveries?${wrong}`)).status).toBe(422);
  expect((await ask('/v1/deliveries/bb')).status).toBe(422);
  expect(await ask('/v1/deliveries?status=many&verdict=nice')).toMatchObject({
    status: 422,
    body: { problems: [{ field: 'verdict' }, { field: 'status' }] },
  });
});

test('[S47] a key for some jobs sees nothing of others, not even by webhook-id or in sums', async () => {
  expect((await ask('/v1/deliveries', some)).body).toMatchObject({ deliveries: [ROWS[2], ROWS[0]] });
  expect(await ask('/v1/deliveries?jobId=mail', some)).toMatchObject({ status: 403 });
  expect(await ask('/v1/deliveries/bb1bbbbb', some)).toMatchObject({ status: 404, body: { code: 'DeliveryNotFound' } });
  expect((await ask('/v1/deliveries/bb1bbbbb')).body).toMatchObject({ attempts: [{ deliveryId: 'bb1bbbbb' }] });
  expect((await ask('/v1/stats', some)).body).toMatchObject({
    total: { delivered: 2, failed: 0 },
    jobs: [{ jobId: 'crm' }],
  });
  expect((await ask('/v1/stats')).body).toMatchObject({ total: { delivered: 2, failed: 1, failedBy: { 422: 1 } } });
});

test('a time that no database has is a mistake of the caller, and no failure of the log', async () => {
  const cursor = Buffer.from('["0000-01-01T00:00:00Z","",0]').toString('base64url');
  const times = ['until=0000-01-01T00:00:00Z', 'until=9999-12-31T23:59:59-01:00', 'since=1969-12-31T23:59:59Z'];
  for (const path of ['/v1/deliveries', '/v1/history', '/v1/stats'])
    for (const wrong of path === '/v1/stats' ? times : [...times, `after=${cursor}`])
      expect(await ask(`${path}?${wrong}`)).toMatchObject({ status: 422, body: { code: 'InvalidRequest' } });
  expect(await ask('/v1/deliveries?since=1970-01-01T00:00:00Z&until=9999-12-31T23:59:59Z')).toMatchObject({
    status: 200,
  });
});

test('a count by more steps than the API can add up in a moment is refused', async () => {
  const counted = async (minutes: number, step: number) =>
    await ask(`/v1/stats?since=${new Date(Date.now() - minutes * 60_000).toISOString()}&step=${step}`);
  expect(await counted(24 * 60, 60)).toMatchObject({ status: 200 });
  expect(await counted(8 * 24 * 60, 60)).toMatchObject({ status: 422, body: { code: 'InvalidRequest' } });
  expect(await counted(8 * 24 * 60, 3_600)).toMatchObject({ status: 200 });
});

test('lists and counts say when rows may be missing, a list down to its last row', async () => {
  const folder = tempFolder();
  const [store, reader] = [
    openDeliveryStore({ folder, retentionDays: 30 }, 'one'),
    openDeliveryReader({ folder }, sealingWith([])),
  ];
  const other = await apiWithoutTemporal(keys, { deliveries: reader });
  const askFor = async (secret: string, path: string) =>
    await askOf(other, path, { headers: { authorization: `Bearer ${secret}` } });
  await store.write({ number: 1, rows: ROWS, dropped: 0 });
  const since = new Date().toISOString();
  const later = new Date(Date.now() + 60_000).toISOString();
  await store.write({ number: 2, rows: [1, 2].map(() => aDelivery({ at: later })), dropped: 3, wholeAt: later });
  const gaps = [{ worker: 'one', dropped: 3 }];
  for (const path of ['/v1/deliveries', `/v1/stats?since=${since}`]) {
    expect((await askFor(all.secret, path)).body).toMatchObject({ gaps });
    // Who may see some jobs learns nothing of workers.
    expect((await askFor(some.secret, path)).body).toMatchObject({
      gaps: [{ why: 'dropped', from: expect.any(String), until: expect.any(String) }],
    });
    expect(JSON.stringify((await askFor(some.secret, path)).body)).not.toMatch(/"one"|"dropped":/);
  }
  expect((await askFor(all.secret, '/v1/deliveries?limit=1')).body).toMatchObject({ gaps: [] });
  await other.close();
  await reader.close();
  await store.close();
});

test('CSV quotes what it must, and gives a spreadsheet no formula', async () => {
  const { headers, body } = await request(`${api.url}/v1/deliveries?limit=2`, {
    headers: { authorization: `Bearer ${all.secret}`, accept: 'text/csv' },
  });
  expect(headers['content-type']).toBe('text/csv; charset=utf-8');
  const text = await body.text();
  expect(text).toContain('"a ""no"",\nand why"');
  expect(text.trim().split('\r\n')).toHaveLength(3);
  const [, path = ''] = /^<(.*)>; rel="next"$/.exec(String(headers['link'])) ?? [];
  const rest = await request(`${api.url}${path}`, {
    headers: { authorization: `Bearer ${all.secret}`, accept: 'text/csv' },
  });
  expect(await rest.body.text()).toContain(",'=1+1,");
});

test.each([
  ['=1', "'=1"],
  [' ＋1', "' ＋1"],
  ['x;=1;y', "x;'=1;y"],
  ['x;\t@y', "x;'\t'@y"],
  ['x\n-1', `"x\n'-1"`],
  ['a;b-c', 'a;b-c'],
])('no text of CSV begins a formula, whatever separates its cells: %j', (user, cell) => {
  expect(csvLine(aDelivery({ user }))).toContain(`,${cell},`);
});

test('a stream tells of deliveries that are written from then on, and of no others', async () => {
  const gone = new AbortController();
  const { body } = await request(`${api.url}/v1/deliveries/stream`, {
    headers: { authorization: `Bearer ${some.secret}` },
    signal: gone.signal,
  });
  const told: string[] = [];
  const reading = (async () => {
    for await (const chunk of body) told.push(String(chunk));
  })();
  const isRead = () => told.join('').includes('dd1');
  for (let number = 2; !isRead(); number++) {
    const at = new Date().toISOString();
    const rows = [aDelivery({ at, jobId: 'mail', deliveryId: 'ee1' }), aDelivery({ at, deliveryId: `dd1${number}` })];
    await store.write({ number, rows, dropped: 0 });
    await setTimeout(100);
  }
  gone.abort();
  await reading.catch(() => undefined);
  expect(told.join('')).not.toMatch(/mail|aa1aaaaa/);
});

test('without a log there is nothing to read; one that is away does not say where it is', async () => {
  const without = await apiWithoutTemporal();
  expect(await askOf(without, '/v1/deliveries')).toMatchObject({ status: 404, body: { code: 'NoDeliveryLog' } });
  await without.close();
  const url = 'postgres://me:hidden@127.0.0.1:1/none';
  const settings = { certificateAuthorities: [], connectTimeoutMs: 500, statementTimeoutMs: 500 };
  const away = openDeliveryReader({ url, ...settings }, sealingWith([]));
  const other = await apiWithoutTemporal({}, { deliveries: away });
  const { status, body } = await askOf(other, '/v1/stats');
  expect({ status, body }).toMatchObject({ status: 503, body: { code: 'DeliveryLogError' } });
  expect(JSON.stringify(body)).not.toContain('127.0.0.1');
  await other.close();
  await away.close();
});
