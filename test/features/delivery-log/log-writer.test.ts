import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { DeliveryRow } from '../../../src/features/delivery-log/delivery.ts';
import { DeliveryLogError } from '../../../src/features/delivery-log/log-error.ts';
import type { DeliveryBatch } from '../../../src/features/delivery-log/delivery-store.ts';
import { LogWriter } from '../../../src/features/delivery-log/log-writer.ts';
import { until } from '../../support/patience.ts';
import { afterwards } from '../../webhook/a-server.ts';
import { aDelivery } from './a-delivery.ts';

const row = (n: number): DeliveryRow => aDelivery({ deliveryId: `id-${n}`, user: `p${n}` });

/** A store that fails while it is told to. */
function memoryStore() {
  const kept: DeliveryBatch[] = [];
  const tried: DeliveryBatch[] = [];
  const state = { isAway: false };
  return {
    kept,
    tried,
    state,
    write: async (batch: DeliveryBatch): Promise<number> => {
      tried.push(batch);
      await sleep(1);
      if (state.isAway) throw new Error('away');
      kept.push(batch);
      return 0;
    },
    close: async (_lostRows?: number) => await Promise.resolve(),
  };
}

function writerTo(store: ReturnType<typeof memoryStore>, more: { mostRows?: number; livesEveryMs?: number } = {}) {
  const counts = { written: 0, dropped: 0 };
  const problems: (string | undefined)[] = [];
  const writer = new LogWriter({
    store,
    log: { warn: () => undefined, info: () => undefined },
    counted: (outcome, rows) => (counts[outcome] += rows),
    noticed: (problem) => problems.push(problem),
    ...more,
  });
  afterwards(async () => await writer.close());
  return { writer, counts, problems };
}

test('rows that come together are one batch, in their order, a quarter of a second later', async () => {
  const store = memoryStore();
  const { writer, counts } = writerTo(store);
  for (let n = 0; n < 100; n++) writer.add(row(n));
  expect(store.tried).toEqual([]);
  await until(() => store.kept.length > 0);
  expect(store.kept).toEqual([
    {
      number: 1,
      dropped: 0,
      rows: Array.from({ length: 100 }, (_, n) => row(n)),
      deeds: [],
      wholeAt: expect.any(String),
    },
  ]);
  expect(counts).toEqual({ written: 100, dropped: 0 });
});

test('each batch says up to when the log has all rows of the writer, also after the store was away', async () => {
  const store = memoryStore();
  store.state.isAway = true;
  const { writer } = writerTo(store, { livesEveryMs: 20 });
  const at = (n: number): string => new Date(Date.UTC(2026, 10, 1) + n).toISOString();
  const add = (n: number): void => writer.add(aDelivery({ at: at(n) }));
  for (let n = 0; n < 7_000; n++) add(n);
  await until(() => store.tried.length > 1);
  store.state.isAway = false;
  await until(() => store.kept.length > 2);
  const beganAt = new Date().toISOString();
  await until(() => (store.kept.at(-1)?.wholeAt ?? '') > beganAt);
  // The first was made of one row alone or of many; what waits behind it bounds what the log has.
  let written = 0;
  for (const { rows, wholeAt = '' } of store.kept) {
    written += rows.length;
    if (written < 7_000) expect(wholeAt).toBe(at(written));
    else expect(wholeAt > at(7_000)).toBe(true);
  }
});

test('while the store is away rows wait, the rest is dropped and counted, and a failed batch is tried again as it was', async () => {
  const store = memoryStore();
  store.state.isAway = true;
  const { writer, counts, problems } = writerTo(store, { mostRows: 50 });
  for (let n = 0; n < 10; n++) writer.add(row(n));
  await until(() => store.tried.length > 0);
  for (let n = 10; n < 80; n++) writer.add(row(n));
  store.state.isAway = false;
  await until(() => counts.written === 60);
  expect(counts.dropped).toBe(20);
  expect(store.kept.map(({ number, dropped, rows }) => [number, dropped, rows.length])).toEqual([
    [1, 0, 10],
    [2, 20, 50],
  ]);
  expect(store.tried.filter(({ number }) => number === 1).length).toBeGreaterThan(1);
  expect(problems[0]).toBe('away');
  expect(problems.at(-1)).toBeUndefined();
});

test('the end of a worker writes what waits; with a store that is away, it takes a moment and no more', async () => {
  const store = memoryStore();
  const { writer } = writerTo(store);
  for (let n = 0; n < 12_000; n++) writer.add(row(n));
  await writer.close();
  expect(store.kept.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(12_000);

  const away = memoryStore();
  away.state.isAway = true;
  const other = writerTo(away);
  other.writer.add(row(1));
  const beganAtMs = performance.now();
  await other.writer.close();
  expect(performance.now() - beganAtMs).toBeLessThan(5_000);
});

test('what was sent is kept as long as little of it waits, however much went before', async () => {
  const store = memoryStore();
  const { writer } = writerTo(store);
  const exchange = 'x'.repeat(1024 * 1024);
  for (let n = 0; n < 60; n++) {
    writer.add({ ...row(n), exchange });
    // So that something always waits.
    if (n % 10 === 9) await until(() => store.kept.flatMap(({ rows }) => rows).length >= n - 9);
  }
  await writer.close();
  expect(store.kept.flatMap(({ rows }) => rows).every((one) => one.exchange === exchange)).toBe(true);
});

test('rows that the database refuses for their values are dropped and counted; deeds and later rows are written', async () => {
  const store = memoryStore();
  const refusal = new DeliveryLogError('written', 'PostgreSQL', 'invalid', { code: '22021' });
  let isRefused = true;
  const { writer, counts } = writerTo({
    ...store,
    write: async (batch) => {
      if (isRefused && batch.rows.length > 0) throw refusal;
      return await store.write(batch);
    },
  });
  writer.add(row(1));
  writer.addDeed(['deed 1']);
  await until(() => counts.dropped === 1);
  isRefused = false;
  writer.add(row(2));
  await until(() => counts.written === 1);
  expect(store.kept).toMatchObject([{ dropped: 1, deeds: [['deed 1']] }, { rows: [{ deliveryId: 'id-2' }] }]);
});

test('rows are written before the deeds that came after them, and deeds before a flood of later rows', async () => {
  const store = memoryStore();
  const { writer } = writerTo(store);
  writer.add(row(0));
  writer.addDeed(['deed']);
  for (let n = 1; n < 10_000; n++) writer.add(row(n));
  await until(() => store.kept.length > 2);
  expect(store.kept.map(({ rows, deeds }) => [rows.length, deeds?.length])).toEqual([
    [5_000, 0],
    [0, 1],
    [5_000, 0],
  ]);
});

test('a reader can ask a writer how far it is, and then an idle one seldom writes unasked', async () => {
  const store = memoryStore();
  let ask = (): void => undefined;
  const asked = Object.assign(store, { onAsked: (answer: () => void) => void (ask = answer) });
  const { writer } = writerTo(asked);
  writer.notePolled(new Map());
  await until(() => store.kept.length === 1);
  await sleep(1_100);
  expect(store.kept).toHaveLength(1);
  ask();
  await until(() => store.kept.length === 2);
});

test('a writer without rows says that it lives; while the store is away it goes on trying, and then its rows come', async () => {
  const store = memoryStore();
  const { writer, problems } = writerTo(store, { livesEveryMs: 5 });
  writer.add(row(0));
  await until(() => store.kept.length > 2);
  store.state.isAway = true;
  await until(() => problems.length > 0);
  writer.add(row(1));
  store.state.isAway = false;
  await until(() => store.kept.some(({ rows }) => rows[0]?.deliveryId === 'id-1'));
  expect(problems[0]).toBe('away');
  expect(problems.at(-1)).toBeUndefined();
  expect(store.kept.map(({ number }) => number)).toEqual(store.kept.map((_, i) => i + 1));
});

test('a store hears at the end how many rows are lost', async () => {
  const store = memoryStore();
  store.state.isAway = true;
  const told: (number | undefined)[] = [];
  const { writer } = writerTo({ ...store, close: async (lost?: number) => void told.push(lost) });
  writer.add(row(1));
  await writer.close();
  expect(told).toEqual([1]);
});
