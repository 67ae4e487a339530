import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openDeliveryReader, openDeliveryStore } from '../../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { aDelivery } from './a-delivery.ts';

function logIn(folder: string, retentionDays = 30) {
  const store = openDeliveryStore({ folder, retentionDays }, 'one');
  const reader = openDeliveryReader({ folder }, sealingWith([]));
  return { store, reader, file: join(folder, 'deliveries.db') };
}

const batch = (number: number, at = new Date().toISOString()) => ({ number, rows: [aDelivery({ at })], dropped: 0 });

test('only its owner may read the file, and reading makes none', async () => {
  const { store, reader, file } = logIn(tempFolder());
  expect(await reader.find({}, 10)).toEqual({ rows: [] });
  expect(statSync(file, { throwIfNoEntry: false })).toBeUndefined();
  await store.write(batch(1));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600);
  await store.close();
  await reader.close();
});

test('a file that somebody removed while it was open is begun anew, by its writer and its readers', async () => {
  const { store, reader, file } = logIn(tempFolder());
  await store.write(batch(1));
  expect((await reader.find({}, 10)).rows).toHaveLength(1);
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
  expect(await reader.find({}, 10)).toEqual({ rows: [] });
  const removedAt = new Date().toISOString();
  await store.write(batch(2));
  await store.write(batch(3));
  expect((await reader.find({}, 10)).rows).toHaveLength(2);
  // Rows are lost, and the log says so.
  const [begin] = await reader.gaps({ since: new Date(Date.now() - 3_600_000).toISOString() });
  expect(begin).toMatchObject({ why: 'begins' });
  expect((begin?.until ?? '') >= removedAt).toBe(true);
  await store.close();
  await reader.close();
});

test('rows that are older than the retention go with the batches that come', async () => {
  const { store, reader } = logIn(tempFolder(), 1);
  await store.write(batch(1, new Date(Date.now() - 3 * 24 * 3_600_000).toISOString()));
  await store.write(batch(2));
  const { rows } = await reader.find({ since: '2020-01-01T00:00:00Z' }, 10);
  expect(rows).toHaveLength(1);
  await store.close();
  await reader.close();
});
