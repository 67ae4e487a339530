import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { DeliveryFilter, DeliveryRow } from '../../../src/features/delivery-log/delivery.ts';
import { deliveryQuery } from '../../../src/features/delivery-log/delivery-query.ts';
import type { DeliveryReader } from '../../../src/features/delivery-log/delivery-reader.ts';
import { newIdentity } from '../../../src/worker/identity.ts';
import { fileSql } from '../../../src/features/delivery-log/file-log.ts';
import { sql } from '../../../src/features/delivery-log/log-sql.ts';
import { openLogWriter } from '../../../src/features/delivery-log/open-log.ts';
import { numbered, POSTGRES, postgresSql } from '../../../src/features/delivery-log/postgres-sql.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { until } from '../../support/patience.ts';
import { afterFile } from '../../webhook/a-server.ts';
import { aDelivery } from './a-delivery.ts';
import { aLog, KINDS, type LogKind, placeIn, postgres } from './a-log.ts';

const FIRST_DAY = Date.UTC(2026, 10, 1);
const DAY_MS = 24 * 60 * 60 * 1000;
const iso = (ms: number): string => new Date(ms).toISOString();

/** Two a day have the same time. */
const ROWS: readonly DeliveryRow[] = Array.from({ length: 60 }, (_, n) => ({
  at: new Date(FIRST_DAY + Math.floor(n / 2) * DAY_MS).toISOString(),
  jobId: n % 3 === 0 ? 'crm' : 'mail',
  deliveryId: (n * 7919).toString(16).padStart(32, 'a'),
  ...(n === 20 || n === 21 ? { batchId: 'batch-1' } : {}),
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
  sequence: n,
}));
const NEWEST_FIRST = ROWS.toSorted((a, b) => b.at.localeCompare(a.at) || b.sequence - a.sequence);

const KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`;
const SEALED = sealingWith([KEY]).seal?.('{"request":{"body":"hello"},"response":{"headers":[],"body":"no"}}');

/** A log with all rows, which some tests only read. */
const logs = new Map<string, Awaited<ReturnType<typeof aLog>>>();
beforeAll(async () => {
  const rows = ROWS.map((row) => (row.status === 422 ? { ...row, exchange: SEALED } : row));
  for (const kind of KINDS) {
    const log = await aLog(kind, { keys: [KEY], closing: afterFile });
    const store = log.open('one');
    for (const number of [1, 1, 2]) await store.write({ number, rows: number === 1 ? rows : [], dropped: 0 });
    logs.set(kind, log);
  }
});

const readerOf = (kind: string): DeliveryReader => logs.get(kind)?.reader as DeliveryReader;

async function emptyLog(kind: LogKind) {
  const log = await aLog(kind);
  return { ...log, store: log.open() };
}

/** All that match, page by page. */
async function allOf(kind: string, filter: DeliveryFilter, limit = 100): Promise<DeliveryRow[]> {
  const found: DeliveryRow[] = [];
  let next: string | undefined;
  do {
    const page = await readerOf(kind).find(filter, limit, next);
    found.push(...page.rows);
    ({ next } = page);
  } while (next !== undefined);
  return found;
}

describe.each(KINDS)('a log in %s', (kind) => {
  test('pages show every delivery once, newest first, also those of the same moment', async () => {
    expect(await allOf(kind, {}, 7)).toEqual(NEWEST_FIRST);
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
    const rows = await allOf(kind, filter);
    expect(rows).toEqual(NEWEST_FIRST.filter(isMeant));
    expect(rows.length).toBeGreaterThan(0);
  });

  test('the beginning of a webhook-id is enough', async () => {
    const whole = ROWS[59]?.deliveryId ?? '';
    const rows = await allOf(kind, { deliveryId: whole.slice(0, 29) });
    expect(rows).toEqual(NEWEST_FIRST.filter(({ deliveryId }) => deliveryId.startsWith(whole.slice(0, 29))));
  });

  test('a batch is found by its own id, and by those of its triggers', async () => {
    const rows = await allOf(kind, { deliveryId: 'batch-1' });
    expect(rows).toEqual(NEWEST_FIRST.filter(({ batchId }) => batchId === 'batch-1'));
    expect(rows).toHaveLength(2);
  });

  test('[S48] the attempts of a delivery have what was sent and answered, which was encrypted', async () => {
    const [row] = await readerOf(kind).attempts(ROWS[6]?.deliveryId ?? '');
    expect(row).toEqual({ ...ROWS[6], request: { body: 'hello' }, response: { headers: [], body: 'no' } });
  });

  test('a retry of a batch that was delivered does not have the answer of the attempt before', async () => {
    const { store, reader } = await emptyLog(kind);
    const batch = { batchId: 'b1', worker: '1@here' };
    const exchange = '{"response":{"headers":[],"body":"down"}}';
    const [first, second] = ['2026-11-30T12:00:00.000Z', '2026-11-30T12:00:05.000Z'];
    const rows = [
      aDelivery({ ...batch, at: first, deliveryId: 'd1', verdict: 'transient', status: 503 }),
      aDelivery({ ...batch, at: first, deliveryId: 'd2', verdict: 'transient', status: 503 }),
      aDelivery({ ...batch, at: second, deliveryId: 'd1', attempt: 2 }),
      aDelivery({ ...batch, at: second, deliveryId: 'd2', attempt: 2 }),
    ];
    await store.write({ number: 1, rows: rows.map((row, i) => (i === 0 ? { ...row, exchange } : row)), dropped: 0 });
    await store.close();
    const [failed, delivered] = await reader.attempts('d2');
    expect(failed).toMatchObject({ verdict: 'transient', response: { body: 'down' } });
    expect(delivered).toEqual(rows[3]);
    expect(await reader.attempts('d2', ['other'])).toEqual([]);
  });

  test('an attempt with nothing to send, or not yet, counts as no failure, and no search for failures finds it', async () => {
    const { store, reader } = await emptyLog(kind);
    const unmade = { status: undefined, durationMs: 0 };
    const rows = [
      aDelivery(),
      aDelivery({ ...unmade, verdict: 'skipped', code: 'SKIPPED' }),
      aDelivery({ ...unmade, verdict: 'profile-missing', code: 'PROFILE_MISSING' }),
      aDelivery({ ...unmade, verdict: 'source', code: 'SOURCE_UNAVAILABLE' }),
    ];
    await store.write({ number: 1, rows, dropped: 0 });
    const { total } = await reader.stats({ since: '2026-11-30T00:00:00Z', until: '2026-12-01T00:00:00Z' });
    expect(total).toMatchObject({ delivered: 1, failed: 1, failedBy: { SOURCE_UNAVAILABLE: 1 } });
    const failed = await reader.find({ verdict: 'failed', until: '2026-11-30T12:30:00Z' }, 10);
    expect(failed.rows.map(({ verdict }) => verdict)).toEqual(['source']);
  });

  test('the log says when rows may be missing: of a writer that dropped some, and of one that fell silent', async () => {
    const { store, reader, open } = await emptyLog(kind);
    const ended = open('8@there 0e');
    const now = Date.now();
    const time = (agoMs: number): string => new Date(now - agoMs).toISOString();
    const written = { number: 1, rows: [aDelivery({ at: time(0) })], dropped: 0 };
    await ended.write(written);
    await ended.close();
    await store.write(written);
    expect(await reader.gaps({})).toEqual([]);
    await store.write({ ...written, number: 2, dropped: 7 });
    await store.write({ ...written, number: 2, dropped: 7 });
    const [gap, ...others] = await reader.gaps({ since: time(60_000) });
    expect([gap, others]).toEqual([
      { why: 'dropped', worker: '7@there', from: expect.any(String), until: expect.any(String), dropped: 7 },
      [{ why: 'begins', from: time(60_000), until: expect.any(String) }],
    ]);
    expect(Date.parse(gap?.until ?? '')).toBeGreaterThanOrEqual(Date.parse(gap?.from ?? ''));
    expect(await reader.gaps({ until: time(60_000) })).toEqual([]);
    expect((await reader.stats({ since: time(60_000), until: gap?.until ?? '' })).gaps).toContainEqual(gap);
    // Rows of it are lost.
    await store.close(1);
    const wait = jest.spyOn(Date, 'now').mockReturnValue(now + 2 * 60_000);
    expect(await reader.gaps({})).toMatchObject([{ why: 'behind', worker: '7@there', dropped: 0 }, gap]);
    expect(await reader.gaps({ until: time(60_000) })).toEqual([]);
    expect(await reader.gaps({ since: time(-30 * 60_000) })).toHaveLength(1);
    expect(await reader.gaps({ since: time(-90 * 60_000) })).toEqual([]);
    wait.mockRestore();
  });

  test('who counts or exports waits until all living writers have written that time; one that has not is named', async () => {
    const { store, reader, open } = await emptyLog(kind);
    const other = open('8@there 0e');
    const end = Date.now();
    const row = (ms: number) => aDelivery({ at: new Date(ms).toISOString() });
    const [before, after] = [iso(end - 20_000), iso(end)];
    const window = { since: before, until: after };
    await store.write({ number: 1, rows: [row(end - 20_000)], dropped: 0 });
    await other.write({ number: 1, rows: [row(end - 20_000)], dropped: 0, wholeAt: before });
    const behind = { why: 'behind', worker: '8@there', from: before };
    expect(await reader.gaps(window, { waitMs: 300 })).toMatchObject([behind, { why: 'begins' }]);
    // A page does not wait, and lets a worker be some seconds behind.
    expect(await reader.gaps(window)).toMatchObject([{ why: 'begins' }]);
    // One that fell silent long ago is named, and not waited for.
    await other.write({ number: 2, rows: [], dropped: 0, wholeAt: iso(end - 6 * 60_000) });
    expect(await reader.gaps(window, { waitMs: 60_000 })).toMatchObject([{ why: 'behind' }, { why: 'begins' }]);
    await other.write({ number: 3, rows: [], dropped: 0, wholeAt: iso(end - 10_000) });
    const counted = reader.stats(window);
    await other.write({ number: 4, rows: [row(end - 1)], dropped: 0, wholeAt: after });
    const { total, gaps } = await counted;
    expect([total.delivered, gaps.map(({ why }) => why)]).toEqual([3, ['begins']]);
  });

  test('a worker with nothing to do says how far it is when somebody asks', async () => {
    const { reader, place } = await emptyLog(kind);
    const log = { warn: () => undefined, info: () => undefined };
    const writer = openLogWriter({ ...place, retentionDays: 30 }, { log }, newIdentity('9@there'));
    writer.notePolled(new Map());
    const idle = async (): Promise<boolean> =>
      (await reader.gaps({ until: iso(Date.now()) }, { waitMs: 0 })).some(({ worker }) => worker === '9@there');
    await until(idle);
    const time = { since: iso(Date.now()), until: iso(Date.now() + 1) };
    expect((await reader.gaps(time, { waitMs: 5_000 })).filter(({ why }) => why === 'behind')).toEqual([]);
    await writer.close();
  });

  test('a log says since when it has rows, and counts, if a time begins before that', async () => {
    const { store, place, reader, open } = await emptyLog(kind);
    const day = Date.now() - (Date.now() % DAY_MS);
    const made = day - 5 * DAY_MS + 1;
    const begins = async (since: number, of: 'rows' | 'counts') =>
      (await reader.gaps({ since: iso(since) }, { of })).map((gap) => [gap.why, gap.until]);
    await store.write({ number: 1, rows: [], dropped: 0 });
    await store.close();
    const log = place.folder === undefined ? postgresSql(place, true) : fileSql(place.folder, true);
    await log.query(sql`UPDATE delivery_writers SET began_at = ${iso(made)} WHERE batches > 0`);
    await log.close();
    expect(await begins(made - 1, 'rows')).toEqual([['begins', iso(made)]]);
    expect(await begins(made, 'rows')).toEqual([]);
    const later = open('9@there 0d', 2);
    await later.write({ number: 1, rows: [], dropped: 0 });
    expect(await begins(made, 'rows')).toEqual([['begins', iso(day - 2 * DAY_MS)]]);
    expect(await begins(day - 2 * DAY_MS, 'rows')).toEqual([]);
    // These are kept for longer.
    expect(await begins(made - 1, 'counts')).toEqual([['begins', iso(made)]]);
    expect(await begins(made, 'counts')).toEqual([]);
  });

  test('a worker that asks Temporal for work and never wrote is a gap, until it writes', async () => {
    const { store, reader, open } = await emptyLog(kind);
    const now = Date.now();
    const time = (agoMs: number): string => iso(now - agoMs);
    const nameOf = (worker: string, agoMs: number): string => `${worker} ${time(agoMs)}/01234567`;
    const [unheard, living] = [nameOf('1@a', 200_000), nameOf('3@a', 60_000)];
    const heard = open(living, 30);
    await heard.write({ number: 1, rows: [], dropped: 0 });
    const polled = [unheard, living, '4@a'].map((one) => [one, now - 170_000] as const);
    for (const number of [1, 2]) await store.write({ number, rows: [], dropped: 0, polled: new Map(polled) });
    expect(await reader.gaps({})).toEqual([{ why: 'unheard', worker: '1@a', from: time(200_000), dropped: 0 }]);
    expect(await reader.gaps({ until: time(200_000) })).toEqual([]);
    const back = open(unheard, 30);
    await back.write({ number: 1, rows: [], dropped: 0 });
    expect(await reader.gaps({})).toEqual([]);
  });

  test('attempts are counted by step and by job, a batch that was written twice once', async () => {
    const asked = { since: '2026-11-01T00:00:00Z', until: '2026-12-01T00:00:00Z' };
    const { points, jobs, total, stepSeconds } = await readerOf(kind).stats(asked);
    expect(stepSeconds).toBe(86_400);
    expect((await readerOf(kind).stats({ ...asked, stepSeconds: 3_600 })).total).toEqual(total);
    expect(points).toHaveLength(30);
    expect(points[0]).toEqual({
      at: '2026-11-01T00:00:00.000Z',
      delivered: 1,
      failed: 1,
      failedBy: { 422: 1 },
      p50Ms: 1,
      p95Ms: 1,
      p99Ms: 1,
    });
    expect(total).toMatchObject({ delivered: 49, failed: 11, failedBy: { 422: 10, ECONNREFUSED: 1 } });
    expect(Math.abs((total.p95Ms ?? 0) - 56)).toBeLessThan(6);
    expect(jobs.map(({ jobId, failed }) => [jobId, failed])).toEqual([
      ['crm', 10],
      ['mail', 1],
    ]);
    const ofMail = await readerOf(kind).stats({ ...asked, jobId: 'mail', stepSeconds: 86_400 });
    expect(ofMail.total).toMatchObject({ delivered: 39, failed: 1 });
  });

  test('a month is counted by its days, with rows that come late, and no more of a day than was asked for', async () => {
    const { store, reader } = await emptyLog(kind);
    const row = (hour: number) => aDelivery({ at: new Date(FIRST_DAY + hour * 3_600_000).toISOString() });
    const rowsOf = async (since: number, until: number) => {
      const [from, to] = [since, until].map((hour) => new Date(FIRST_DAY + hour * 3_600_000).toISOString());
      return (await reader.stats({ since: from ?? '', until: to ?? '', stepSeconds: 86_400 })).total.delivered;
    };
    await store.write({ number: 1, rows: [row(1), row(30), row(40)], dropped: 0 });
    await store.write({ number: 2, rows: [row(2)], dropped: 0 });
    await store.write({ number: 3, rows: [aDelivery({ at: new Date().toISOString() })], dropped: 0 });
    await store.close();
    expect([await rowsOf(0, 24), await rowsOf(0, 48), await rowsOf(0, 36), await rowsOf(0, 24 * 400)]).toEqual([
      2, 4, 3, 5,
    ]);
  });
});

test('a log that was kept without sums of days is counted at once, and summed up; a month then reads no hours', async () => {
  const log = await postgres.database();
  const rows = [aDelivery({ at: '2026-11-01T12:00:00.000Z' })];
  const { reader, open } = await aLog(placeIn(log.url), { rows });
  const month = { since: '2026-11-01T00:00:00Z', until: '2026-12-01T00:00:00Z' };
  const deliveredAfter = async (statement: string, writer: string) => {
    await log.query(statement);
    expect((await reader.stats(month)).total.delivered).toBe(1);
    await open(writer).write({ number: 1, rows: [], dropped: 0 });
    return (await reader.stats(month)).total.delivered;
  };
  expect(await deliveredAfter('DROP TABLE delivery_days', 'two')).toBe(1);
  expect(await deliveredAfter('DELETE FROM delivery_hours', 'three')).toBe(1);
});

test('a page of some days reads no other partition', async () => {
  const database = await postgres.database();
  await aLog(placeIn(database.url), { rows: ROWS });
  const filter = { since: '2026-11-10T00:00:00Z', until: '2026-11-12T00:00:00Z' };
  const { text, values } = numbered(deliveryQuery(POSTGRES, filter, 50));
  const plan = await database.query(`EXPLAIN ${text}`, values);
  const partitions = plan.flatMap((line) => String(line['QUERY PLAN']).match(/deliveries_2026\d{4}\b/g) ?? []);
  expect([...new Set(partitions)].toSorted()).toEqual(['deliveries_20261110', 'deliveries_20261111']);
});

test('a log that no worker has written is empty; one that is away says so, without its password', async () => {
  const { reader: one } = await aLog('PostgreSQL');
  const { reader: away } = await aLog(placeIn('postgres://me:hidden@127.0.0.1:1/none'));
  expect(await one.find({}, 10)).toEqual({ rows: [] });
  const failure: unknown = await away.find({}, 10).catch((error: unknown) => error);
  expect(failure).toMatchObject({ name: 'DeliveryLogError', code: 'ECONNREFUSED' });
  expect(String(failure)).not.toContain('hidden');
});

/** Follows a log that one writer writes, from its first row on. `write` adds a row, and says up to when the log has all of them. */
async function followed(kind: LogKind) {
  const { store, reader, open } = await emptyLog(kind);
  const end = new AbortController();
  const notices: (string | undefined)[] = [];
  const rows = reader.follow({}, end.signal, (problem) => void notices.push(problem?.name));
  const next = async () => (await rows.next()).value as DeliveryRow;
  let number = 0;
  const write = async (times: readonly number[], wholeAt: number) => {
    const deliveries = times.map((ms) => aDelivery({ at: iso(ms), deliveryId: `id-${ms}`, worker: '7@there' }));
    await store.write({ number: ++number, rows: deliveries, dropped: 0, wholeAt: iso(wholeAt) });
  };
  const first = next();
  const from = Date.now();
  const begun = first.then(() => true);
  let ms = from;
  // The first look only learns of what is there.
  for (; !(await Promise.race([begun, setTimeout(50, false)])); ms++) await write([ms], ms + 1);
  // Some may be left of that.
  const after = async (at: number) => {
    for (;;) {
      const row = await next();
      if (Date.parse(row.at) >= at) return row;
    }
  };
  const close = async () => {
    end.abort();
    await rows.return(undefined);
  };
  return { open, reader, write, next, after, notices, close, ms };
}

test('what was written while nobody took it is followed in parts, so that it needs little memory', async () => {
  const { reader, write, next, after, close, ms } = await followed('a file');
  const find = jest.spyOn(reader, 'find');
  await write(
    Array.from({ length: 25 }, (_, i) => ms + i * 1_000),
    ms + 60_000,
  );
  expect(await after(ms)).toMatchObject({ deliveryId: `id-${ms}` });
  for (let i = 1; i < 25; i++) expect(await next()).toMatchObject({ deliveryId: `id-${ms + i * 1_000}` });
  const spans = find.mock.calls.map(([part]) => Date.parse(part.until ?? '') - Date.parse(part.since ?? ''));
  expect(Math.max(...spans)).toBe(10_000);
  await close();
});

test.each(KINDS)('rows in %s are followed however late they are written, each once', async (kind) => {
  const { open, write, next, after, close, ms } = await followed(kind);
  const other = open(`8@there ${iso(ms - 60_000)}/0e`);
  await write([], ms + 20_000);
  const late = [ms + 1, ms + 2].map((at) => aDelivery({ at: iso(at), deliveryId: `late-${at}`, worker: '8@there' }));
  await other.write({ number: 1, rows: late, dropped: 0, wholeAt: iso(ms + 2) });
  expect(await after(ms)).toMatchObject({ deliveryId: late[0]?.deliveryId });
  await write([ms + 30_000], ms + 30_001);
  expect(await next()).toMatchObject({ deliveryId: `id-${ms + 30_000}` });
  await other.write({ number: 2, rows: [], dropped: 0, wholeAt: iso(ms + 40_000) });
  expect(await next()).toMatchObject({ deliveryId: late[1]?.deliveryId });
  await close();
});

test('a database that restarts is followed again from where it was, with a word when it went and when it came back', async () => {
  const { open, write, next, notices, after, close, ms } = await followed('PostgreSQL');
  await write([ms + 1], ms + 2);
  await after(ms + 1);
  await postgres.server.stop();
  const row = next();
  await until(() => notices.length > 0);
  await postgres.server.startAgain();
  const store = open(`8@there ${iso(ms)}/0e`);
  const rows = [aDelivery({ at: iso(ms + 2), deliveryId: 'again', worker: '8@there' })];
  await store.write({ number: 1, rows, dropped: 0 });
  expect(await row).toMatchObject({ deliveryId: 'again' });
  expect(notices).toEqual(['DeliveryLogError', undefined]);
  await close();
});
