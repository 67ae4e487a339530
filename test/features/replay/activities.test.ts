import type { ToldCounts } from '../../../src/features/replay/found-told.ts';
import type { ToldLog, ToldRow } from '../../../src/features/delivery-log/told-log.ts';
import { setTimeout } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from '@jest/globals';
import { createTold } from '../../../src/features/replay/activities.ts';
import type { ToldPage } from '../../../src/contract/backfill.ts';
import type { ToldQuery } from '../../../src/contract/replay.ts';
import { deliveryId } from '../../../src/domain/delivery-id.ts';
import { unpackTriggers } from '../../../src/domain/job/queue/chain.ts';
import { LogWriter } from '../../../src/features/delivery-log/log-writer.ts';
import { openDeliveryReader, openDeliveryStore } from '../../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { aDelivery } from '../delivery-log/a-delivery.ts';
import { until } from '../../support/patience.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const VIP = { id: 'ab'.repeat(16), slug: 'vip', name: 'VIP' };
const QUERY: ToldQuery = {
  jobId: 'crm',
  subscriptionId: '5'.repeat(32),
  audiences: [VIP],
  events: ['enter', 'exit'],
  until: '2026-12-01T00:00:00Z',
};

function row(n: number, more: Partial<ToldRow> = {}): ToldRow {
  const user = `person-${n}`;
  const triggerAt = '2026-11-01T00:00:00.123456789Z';
  const trigger = { user, audience: VIP.id, event: 'enter' as const, at: triggerAt };
  return {
    at: '2026-11-01T00:00:01.000Z',
    deliveryId: deliveryId(QUERY.subscriptionId, trigger),
    user,
    audience: VIP.slug,
    event: 'enter',
    triggerAt,
    isOutdated: false,
    next: String(n + 1),
    ...more,
  };
}

/** The activities of a worker whose log has these rows. */
const over = (rows: readonly ToldRow[]) =>
  inActivities({
    told: (_, limit, after) => Promise.resolve(rows.slice(Number(after ?? 0), Number(after ?? 0) + limit)),
    gaps: () => Promise.resolve([]),
  });

/** The activities of a worker with this log; each page of what was told is listed by one of its own. */
function inActivities(toldLog: ToldLog | undefined) {
  const { countTold, listTold } = createTold({ toldLog });
  type Page = Parameters<typeof listTold>;
  return {
    countTold,
    listTold: (...page: Page) => new MockActivityEnvironment().run<Page, ToldPage, typeof listTold>(listTold, ...page),
  };
}

const ROWS = [
  row(0),
  row(1, { isOutdated: true }),
  row(2, { audience: 'news' }),
  row(3, { deliveryId: 'of another subscription, or of an audience that had the slug before' }),
  row(4, { event: 'exit' }),
  row(5),
  row(6, { user: 'person-5', isOutdated: true }),
];

test('what is counted is what is sent: today’s audiences and events, under the same webhook-id', async () => {
  const { countTold, listTold } = over(ROWS);
  const query: ToldQuery = { ...QUERY, events: ['enter'] };
  const environment = new MockActivityEnvironment();
  const counts = await environment.run<[ToldQuery], ToldCounts | null, typeof countTold>(countTold, query);
  expect(counts).toMatchObject({ enters: 2, exits: 0, people: 2, outdated: 1, foreign: 4 });
  expect(counts).not.toHaveProperty('isOfSeveral');
  expect(counts?.first.map(({ user }) => user)).toEqual(['person-0', 'person-5']);
  const { told, next } = await listTold(query, null, 10_000, 0);
  expect(unpackTriggers(told)).toEqual(
    ['person-0', 'person-5'].map((user) => ({
      user,
      trigger: { audience: VIP.id, event: 'enter', at: '2026-11-01T00:00:00.123456789Z' },
    })),
  );
  expect(next).toBeUndefined();
});

test('digits of more than one delivery are told from those of one', async () => {
  const ofSeveral = async (rows: readonly ToldRow[]) =>
    (
      await new MockActivityEnvironment().run<[ToldQuery], ToldCounts | null, ReturnType<typeof over>['countTold']>(
        over(rows).countTold,
        { ...QUERY, deliveryId: '0'.repeat(8) },
      )
    )?.isOfSeveral;
  expect(await ofSeveral([row(0), row(0, { isOutdated: true })])).toBeUndefined();
  expect(await ofSeveral([row(0), row(1, { isOutdated: true })])).toBe(true);
});

test('pages of few bytes show everything once', async () => {
  const { listTold } = over(Array.from({ length: 50 }, (_, n) => row(n, n % 3 === 0 ? { isOutdated: true } : {})));
  const users: string[] = [];
  let pages = 0;
  for (let after: string | null | undefined = null; after !== undefined; pages++) {
    const page = await listTold(QUERY, after, 200, 0);
    users.push(...unpackTriggers(page.told).map(({ user }) => user));
    after = page.next;
  }
  expect(users).toEqual(Array.from({ length: 50 }, (_, n) => n).flatMap((n) => (n % 3 === 0 ? [] : [`person-${n}`])));
  expect(pages).toBeGreaterThan(10);
});

test('another webhook-id comes from a time some nanoseconds later', async () => {
  const { told } = await over([row(0)]).listTold(QUERY, null, 10_000, 3);
  expect(unpackTriggers(told)[0]?.trigger.at).toBe('2026-11-01T00:00:00.123456792+00:00');
});

test('a worker without a delivery log knows nothing', async () => {
  const { countTold, listTold } = inActivities(undefined);
  expect(await countTold(QUERY)).toBeNull();
  await expect(listTold(QUERY, null, 10_000, 0)).rejects.toMatchObject({ type: 'NoDeliveryLog', nonRetryable: true });
});

test('a count waits for rows that a worker could not write yet: nothing that was told by then is left out', async () => {
  const place = { folder: tempFolder(), retentionDays: 30 };
  const [store, reader] = [openDeliveryStore(place, '1@here 0f'), openDeliveryReader(place, sealingWith([]))];
  let isAway = false;
  const writer = new LogWriter({
    store: {
      write: async (batch) => (isAway ? await Promise.reject(new Error('away')) : await store.write(batch)),
      close: async (lost) => await store.close(lost),
    },
    log: { warn: () => undefined, info: () => undefined },
    noticed: () => void setImmediate(() => (isAway = false)),
  });
  const add = (n: number) => {
    const { isOutdated: _, next: __, ...told } = row(n);
    writer.add(aDelivery({ ...told, at: new Date().toISOString() }));
  };
  add(0);
  const { countTold } = createTold({ toldLog: reader });
  await until(async () => (await reader.find({}, 10)).rows.length === 1);
  isAway = true;
  for (let n = 1; n < 4; n++) add(n);
  await setTimeout(5);
  const counts = await new MockActivityEnvironment().run<[ToldQuery], ToldCounts | null, typeof countTold>(countTold, {
    ...QUERY,
    until: new Date().toISOString(),
  });
  expect(counts).toMatchObject({ enters: 4, gaps: [] });
  await writer.close();
  await reader.close();
});

test('a count says which rows may be missing', async () => {
  const gaps = [{ why: 'behind' as const, worker: '1@here', from: '2026-11-01T00:00:00.000Z' }];
  const { countTold } = createTold({ toldLog: { told: () => Promise.resolve([]), gaps: () => Promise.resolve(gaps) } });
  const counts = await new MockActivityEnvironment().run<[ToldQuery], ToldCounts | null, typeof countTold>(
    countTold,
    QUERY,
  );
  expect(counts).toMatchObject({ gaps });
});
