import { beforeAll, describe, expect, test } from '@jest/globals';
import type { DeliveryRow } from '../../../src/features/delivery-log/delivery.ts';
import type { ToldQuery } from '../../../src/contract/replay.ts';
import { numbered, POSTGRES } from '../../../src/features/delivery-log/postgres-sql.ts';
import { toldQuery } from '../../../src/features/delivery-log/told-query.ts';
import { afterFile } from '../../webhook/a-server.ts';
import { aDelivery } from './a-delivery.ts';
import { aLog, KINDS, placeIn, postgres } from './a-log.ts';

const QUERY: ToldQuery = { jobId: 'crm', subscriptionId: '', audiences: [], events: ['enter', 'exit'] };

const at = (second: number): string => new Date(Date.UTC(2026, 10, 1, 0, 0, second)).toISOString();

/** `second user audience event id`, and what is different. */
function row(text: string, more: Partial<DeliveryRow> = {}): DeliveryRow {
  const [second, user, audience, event, deliveryId] = text.split(' ');
  const trigger = { user, audience, event, deliveryId, triggerAt: at(0) } as DeliveryRow; // The texts of this test.
  return aDelivery({ ...trigger, at: at(Number(second)), ...more });
}

const ROWS = [
  row('1 ada vip enter a1'),
  row('2 bob vip enter b1'),
  row('3 ada news enter a2'),
  row('4 bob vip exit b2', { verdict: 'transient', status: 503 }),
  row('5 bob vip exit b2', { attempt: 2 }),
  // Of the same moment, in the order of their triggers, not of their ids.
  row('6 ada vip exit a9', { triggerAt: at(1) }),
  row('6 ada vip enter a3', { triggerAt: at(2) }),
  // Told twice.
  row('7 cay vip enter c1'),
  row('8 cay vip enter c1'),
  row('9 ada vip enter x1', { jobId: 'mail' }),
  row('20 bob vip enter b3'),
  row('21 ada news enter a2', { lane: 'replay' }),
];

type Reader = Awaited<ReturnType<typeof aLog>>['reader'];

/** The ids of what was told, in order, page by page; outdated ones in brackets. */
async function toldIn(reader: Reader, query: Partial<ToldQuery>, limit = 100): Promise<string> {
  const ids: string[] = [];
  for (let after: string | undefined; ;) {
    const rows = await reader.told({ ...QUERY, ...query }, limit, after);
    for (const { deliveryId, isOutdated } of rows) ids.push(isOutdated ? `(${deliveryId})` : deliveryId);
    after = rows.at(-1)?.next;
    if (rows.length < limit) return ids.join(' ');
  }
}

describe.each(KINDS)('a log in %s', (kind) => {
  let reader: Reader;
  beforeAll(async () => void ({ reader } = await aLog(kind, { rows: ROWS.toReversed(), closing: afterFile })));
  const told = async (query: Partial<ToldQuery> = {}, limit?: number) => await toldIn(reader, query, limit);

  test('what was delivered comes in the order in which it was told, each webhook-id once, and without replays', async () => {
    expect(await told()).toBe('a1 b1 a2 b2 a9 a3 (c1) c1 b3');
  });

  test('pages show the same', async () => {
    for (const limit of [1, 2, 3]) expect(await told({}, limit)).toBe(await told());
  });

  test('something newer that was told after the end of the time leaves a person out of that audience', async () => {
    expect(await told({ since: at(2), until: at(20) })).toBe('(b1) a2 (b2) a9 a3 (c1) c1');
    expect(await told({ until: at(4) })).toBe('(a1) (b1) a2');
  });

  test('something newer of an event that is not sent leaves out what was told before', async () => {
    expect(await told({ events: ['enter'] })).toBe('(a1) (b1) a2 b2 a9 a3 (c1) c1 b3');
  });

  test('only the last leaves what each person was told last about each audience', async () => {
    expect(await told({ onlyLast: true })).toBe('(a1) (b1) a2 (b2) (a9) a3 (c1) c1 b3');
    expect(await told({ onlyLast: true, until: at(20) })).toBe('(a1) (b1) a2 (b2) (a9) a3 (c1) c1');
  });

  test('one delivery alone is outdated by anything newer', async () => {
    expect(await told({ deliveryId: 'b1' })).toBe('(b1)');
    expect(await told({ deliveryId: 'a3' })).toBe('a3');
  });

  test('a person or audiences can be asked for', async () => {
    expect(await told({ user: 'ada' })).toBe('a1 a2 a9 a3');
    expect(await told({ only: ['news'] })).toBe('a2');
    expect(await told({ only: ['news', 'vip'], user: 'bob' })).toBe('b1 b2 b3');
  });
});

/** What `told` finds of these rows in both kinds of log. */
async function toldOf(rows: readonly DeliveryRow[], query: Partial<ToldQuery> = {}): Promise<string[]> {
  return await Promise.all(KINDS.map(async (kind) => await toldIn((await aLog(kind, { rows })).reader, query)));
}

test('what was sent in one moment comes in the order in which it was sent, whatever the times of the triggers', async () => {
  const rows = [
    row('1 ada vip exit x2', { triggerAt: '2026-11-01T10:00:00.5Z', sequence: 11 }),
    row('1 ada vip enter x1', { triggerAt: '2026-11-01T10:00:00Z', sequence: 10 }),
    row('1 bob vip exit y2', { triggerAt: '2026-11-01T10:00:00Z', sequence: 13 }),
    row('1 bob vip enter y1', { triggerAt: '2026-11-01T10:05:00Z', sequence: 12 }),
  ];
  expect(await toldOf(rows)).toEqual(['x1 x2 y1 y2', 'x1 x2 y1 y2']);
  expect(await toldOf(rows, { onlyLast: true })).toEqual(['(x1) x2 (y1) y2', '(x1) x2 (y1) y2']);
});

test('rows without a sequence are in the order of their times, in any zone and with any number of digits', async () => {
  const rows = [
    row('1 ada vip exit a2', { triggerAt: '2026-11-01T10:00:00.5Z' }),
    row('1 ada vip enter a1', { triggerAt: '2026-11-01T10:00:00Z' }),
    row('1 bob vip exit b2', { triggerAt: '2026-11-01T10:30:00Z' }),
    row('1 bob vip enter b1', { triggerAt: '2026-11-01T12:00:00+02:00' }),
    row('1 cay vip exit c2', { triggerAt: '2026-11-01T11:00:00.123456789Z' }),
    row('1 cay vip enter c1', { triggerAt: '2026-11-01T11:00:00.1234567Z' }),
  ];
  const last = '(a1) (b1) a2 b2 (c1) c2';
  expect(await toldOf(rows, { onlyLast: true })).toEqual([last, last]);
});

test('a worker whose clock is behind leads to no older news after newer', async () => {
  const rows = [row('5 ada vip enter a1', { sequence: 1 }), row('4 ada vip exit a2', { sequence: 2 })];
  expect(await toldOf(rows)).toEqual(['a2 (a1)', 'a2 (a1)']);
  expect(await toldOf(rows, { onlyLast: true })).toEqual(['a2 (a1)', 'a2 (a1)']);
});

test('rows of a person who was told often are read once, not once for each of them', async () => {
  const often = await postgres.database();
  const rows = Array.from({ length: 2_000 }, (_, n) => row(`${n} ada vip ${n % 2 === 0 ? 'enter' : 'exit'} id-${n}`));
  await aLog(placeIn(often.url), { rows });
  await often.query('ANALYZE deliveries');
  const { text, values } = numbered(toldQuery(POSTGRES, { ...QUERY, until: at(1_500) }, 1_000));
  const plan = await often.query(`EXPLAIN (ANALYZE, TIMING off) ${text}`, values);
  const lines = plan.map((line) => String(line['QUERY PLAN']));
  const removed = lines.flatMap((line) => /Rows Removed by (?:\w+ )*Filter: (\d+)/.exec(line)?.[1] ?? []);
  expect(lines.join('\n')).toContain('SubPlan');
  expect(Math.max(0, ...removed.map(Number))).toBeLessThan(100);
});
