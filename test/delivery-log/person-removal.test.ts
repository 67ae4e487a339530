import { afterAll, describe, expect, test } from '@jest/globals';
import type { StoredRow } from '../../src/delivery-log/delivery-store.ts';
import {
  type LogPlace,
  openDeliveryReader,
  openDeliveryStore,
  openPersonRemoval,
} from '../../src/delivery-log/open-log.ts';
import { sealingWith } from '../../src/temporal/sealed-text.ts';
import { TestPostgres } from '../support/postgres.ts';
import { tempFolder } from '../support/temp-folder.ts';

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 };
const postgres = await TestPostgres.start();
afterAll(async () => await postgres.server.stop());

const EXCHANGE = '{"request":{"body":"[ada, bob]"},"response":{"headers":[],"body":"not ada"}}';

/** A delivery to this person; the first of a batch has the request of all. */
function row(n: number, user: string, more: Partial<StoredRow> = {}): StoredRow {
  return {
    at: new Date(Date.UTC(2026, 10, 1 + n)).toISOString(),
    jobId: 'crm',
    deliveryId: `id-${n}`,
    user,
    audience: 'vip',
    event: 'enter',
    triggerAt: '2026-11-01T00:00:00Z',
    attempt: 1,
    verdict: 'refused',
    status: 422,
    durationMs: 3,
    requestBytes: 30,
    answer: 'no',
    worker: '1@here',
    lane: 'live',
    sequence: 0,
    ...more,
  };
}

const ROWS = [
  row(1, 'ada', { exchange: EXCHANGE }),
  // Two days apart, hence in two partitions.
  row(2, 'bob', { batchId: 'both', exchange: EXCHANGE, answer: 'not ada' }),
  row(3, 'ada', { batchId: 'both', answer: 'not ada' }),
  row(4, 'bob', { batchId: 'without', exchange: EXCHANGE }),
  row(5, 'Ada', { exchange: EXCHANGE }),
];

async function logWith(rows: readonly StoredRow[], place: LogPlace): Promise<void> {
  const store = openDeliveryStore({ ...place, retentionDays: 3650 }, 'one');
  await store.write({ number: 1, rows, dropped: 0 });
  await store.close();
}

describe.each(['PostgreSQL', 'a file'])('a log in %s', (kind) => {
  const newPlace = async (): Promise<LogPlace> =>
    kind === 'a file' ? { folder: tempFolder() } : { ...SETTINGS, url: (await postgres.database()).url };

  test('a removed person has no row, and no part in the request or answer of a batch; others keep theirs', async () => {
    const place = await newPlace();
    await logWith(ROWS, place);
    const removal = openPersonRemoval(place);
    expect(await removal.count('ada')).toEqual({ rows: 2, shared: 1 });
    expect(await removal.remove('ada')).toEqual({ rows: 2, shared: 1 });
    expect(await removal.remove('ada')).toEqual({ rows: 0, shared: 0 });
    await removal.close();
    const reader = openDeliveryReader(place, sealingWith([]));
    const { rows } = await reader.find({}, 10);
    expect(rows.map(({ deliveryId, user, answer }) => [deliveryId, user, answer])).toEqual([
      ['id-5', 'Ada', 'no'],
      ['id-4', 'bob', 'no'],
      ['id-2', 'bob', undefined],
    ]);
    const bodies = await Promise.all(['id-2', 'id-4', 'id-5'].map((id) => reader.attempts(id)));
    expect(bodies.flat().map(({ request }) => request?.body)).toEqual([undefined, '[ada, bob]', '[ada, bob]']);
    await reader.close();
  });

  test('a person is found and removed by any id', async () => {
    const place = await newPlace();
    const ids = ['a\0b', '\0', '\\N', 'a\tb\n', "' OR 1=1--", '%', '🙂'];
    await logWith([...ids.map((user, n) => row(n, user)), row(20, 'a')], place);
    const removal = openPersonRemoval(place);
    for (const user of ids) expect(await removal.remove(user)).toEqual({ rows: 1, shared: 0 });
    await removal.close();
    const reader = openDeliveryReader(place, sealingWith([]));
    expect((await reader.find({ until: '2026-11-21T00:30:00Z' }, 1)).rows).toMatchObject([{ user: 'a' }]);
    await reader.close();
  });

  test('a log that no worker has written has nobody to remove', async () => {
    const removal = openPersonRemoval(await newPlace());
    expect(await removal.count('ada')).toEqual({ rows: 0, shared: 0 });
    expect(await removal.remove('ada')).toEqual({ rows: 0, shared: 0 });
    await removal.close();
  });
});
