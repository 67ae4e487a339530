import { describe, expect, test } from '@jest/globals';
import type { StoredRow } from '../../../src/features/delivery-log/delivery-store.ts';
import { type LogPlace, openPersonRemoval } from '../../../src/features/delivery-log/open-log.ts';
import { afterwards } from '../../webhook/a-server.ts';
import { aDelivery } from './a-delivery.ts';
import { aLog, KINDS } from './a-log.ts';

const EXCHANGE = '{"request":{"body":"[ada, bob]"},"response":{"headers":[],"body":"not ada"}}';

/** A delivery to this person; the first of a batch has the request of all. */
function row(n: number, user: string, more: Partial<StoredRow> = {}): StoredRow {
  const at = new Date(Date.UTC(2026, 10, 1 + n)).toISOString();
  return { ...aDelivery({ at, deliveryId: `id-${n}`, user, verdict: 'refused', status: 422, answer: 'no' }), ...more };
}

const ROWS = [
  row(1, 'ada', { exchange: EXCHANGE }),
  // Two days apart, hence in two partitions.
  row(2, 'bob', { batchId: 'both', exchange: EXCHANGE, answer: 'not ada' }),
  row(3, 'ada', { batchId: 'both', answer: 'not ada' }),
  row(4, 'bob', { batchId: 'without', exchange: EXCHANGE }),
  row(5, 'Ada', { exchange: EXCHANGE }),
];

function removalFrom(place: LogPlace) {
  const removal = openPersonRemoval(place);
  afterwards(async () => await removal.close());
  return removal;
}

describe.each(KINDS)('a log in %s', (kind) => {
  test('a removed person has no row, and no part in the request or answer of a batch; others keep theirs', async () => {
    const { place, reader } = await aLog(kind, { rows: ROWS });
    const removal = removalFrom(place);
    expect(await removal.count('ada')).toEqual({ rows: 2, shared: 1 });
    expect(await removal.remove('ada')).toEqual({ rows: 2, shared: 1 });
    expect(await removal.remove('ada')).toEqual({ rows: 0, shared: 0 });
    const { rows } = await reader.find({}, 10);
    expect(rows.map(({ deliveryId, user, answer }) => [deliveryId, user, answer])).toEqual([
      ['id-5', 'Ada', 'no'],
      ['id-4', 'bob', 'no'],
      ['id-2', 'bob', undefined],
    ]);
    const bodies = await Promise.all(['id-2', 'id-4', 'id-5'].map((id) => reader.attempts(id)));
    expect(bodies.flat().map(({ request }) => request?.body)).toEqual([undefined, '[ada, bob]', '[ada, bob]']);
  });

  test('a person is found and removed by any id', async () => {
    const ids = ['a\0b', '\0', '\\N', 'a\tb\n', "' OR 1=1--", '%', '🙂'];
    const { place, reader } = await aLog(kind, { rows: [...ids.map((user, n) => row(n, user)), row(20, 'a')] });
    const removal = removalFrom(place);
    for (const user of ids) expect(await removal.remove(user)).toEqual({ rows: 1, shared: 0 });
    expect((await reader.find({ until: '2026-11-21T00:30:00Z' }, 1)).rows).toMatchObject([{ user: 'a' }]);
  });

  test('a log that no worker has written has nobody to remove', async () => {
    const removal = removalFrom((await aLog(kind)).place);
    expect(await removal.count('ada')).toEqual({ rows: 0, shared: 0 });
    expect(await removal.remove('ada')).toEqual({ rows: 0, shared: 0 });
  });
});
