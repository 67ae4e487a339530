import type { DeliveryStore, StoredRow } from '../../../src/features/delivery-log/delivery-store.ts';
import { openDeliveryReader, openDeliveryStore } from '../../../src/features/delivery-log/open-log.ts';
import { sealingWith } from '../../../src/temporal/sealed-text.ts';
import { TestPostgres } from '../../support/postgres.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { afterFile, afterwards } from '../../webhook/a-server.ts';

/** The logs that can be read. */
export const KINDS = ['PostgreSQL', 'a file'] as const;
export type LogKind = (typeof KINDS)[number];

const SETTINGS = { certificateAuthorities: [], connectTimeoutMs: 5_000, statementTimeoutMs: 10_000 };

export const postgres = await TestPostgres.start();
afterFile(() => postgres.server.stop());

export const placeIn = (url: string) => ({ ...SETTINGS, url });

type Place = { readonly folder: string } | (ReturnType<typeof placeIn> & { readonly folder?: undefined });

/**
 * A log of a kind, or at a place: empty, or with these rows of a writer that has ended.
 * @param closing `afterFile` for a log that several tests read.
 */
export async function aLog(
  at: LogKind | Place,
  {
    rows,
    keys = [],
    closing = afterwards,
  }: { rows?: readonly StoredRow[]; keys?: string[]; closing?: typeof afterwards } = {},
) {
  const newPlace = async () =>
    at === 'PostgreSQL' ? placeIn((await postgres.database()).url) : at === 'a file' ? { folder: tempFolder() } : at;
  const place: Place = await newPlace();
  /** Opens a writer. */
  const open = (writer = '7@there 0f', retentionDays = 3650): DeliveryStore => {
    const store = openDeliveryStore({ ...place, retentionDays }, writer);
    closing(async () => await store.close());
    return store;
  };
  const readerWith = (keys: readonly string[]) => {
    const reader = openDeliveryReader(place, sealingWith(keys));
    closing(async () => await reader.close());
    return reader;
  };
  if (rows !== undefined) {
    const store = open('one');
    await store.write({ number: 1, rows, dropped: 0 });
    await store.close();
  }
  return { place, open, readerWith, reader: readerWith(keys) };
}
