import { randomUUID } from 'node:crypto';
import { DeliveryReader, type Unsealing } from './delivery-reader.ts';
import { fileSql, FileDeliveryStore } from './file-log.ts';
import type { DeliveryStore } from './delivery-store.ts';
import { LogWriter, type LogWriterOptions } from './log-writer.ts';
import type { LogSql } from './log-sql.ts';
import { type LogCollector, OtlpDeliveryStore } from './otlp-store.ts';
import { PersonRemoval } from './person-removal.ts';
import type { LogDatabase } from './postgres-database.ts';
import { THIS_WORKER } from '../../worker/identity.ts';
import { postgresSql } from './postgres-sql.ts';
import { PostgresDeliveryStore } from './postgres-store.ts';

/** Where a delivery log is that can be read: a folder, or a database. */
export type LogPlace =
  | { readonly folder: string }
  | (Omit<LogDatabase, 'url'> & { readonly folder?: undefined; readonly url?: string | undefined });

/** A delivery log as it is configured: one in a collector cannot be read. */
type ConfiguredLog = LogPlace & { readonly otlp?: LogCollector['otlp'] | undefined };
type KeptLog = ConfiguredLog & { readonly retentionDays: number };

/** @param writer names the writer; no other has the name, nor had it before. */
export function openDeliveryStore(place: KeptLog, writer: string): DeliveryStore {
  const { retentionDays, otlp } = place;
  if (place.folder !== undefined) return new FileDeliveryStore({ folder: place.folder, retentionDays, writer });
  if (otlp !== undefined) return new OtlpDeliveryStore({ ...place, otlp });
  return new PostgresDeliveryStore({ ...databaseOf(place), retentionDays, writer });
}

/** Connects with the first batch. @param writer as of `openDeliveryStore`. Default: a new name, of no worker. */
export function openLogWriter(
  place: KeptLog,
  options: Omit<LogWriterOptions, 'store'>,
  writer = `${THIS_WORKER} ${randomUUID()}`,
): LogWriter {
  return new LogWriter({ ...options, store: openDeliveryStore(place, writer) });
}

/** The log, if it can be read. */
export function readableLog<Place extends ConfiguredLog>(place: Place | undefined): Place | undefined {
  return place?.otlp === undefined ? place : undefined;
}

export function openDeliveryReader(place: LogPlace, unsealing: Unsealing): DeliveryReader {
  return new DeliveryReader(sqlOf(place, false), unsealing);
}

/** Unlike a reader, it may change the log. */
export function openPersonRemoval(place: LogPlace): PersonRemoval {
  return new PersonRemoval(sqlOf(place, true));
}

function sqlOf(place: LogPlace, mayWrite: boolean): LogSql {
  return place.folder === undefined ? postgresSql(databaseOf(place), mayWrite) : fileSql(place.folder, mayWrite);
}

function databaseOf({ url, ...settings }: Extract<LogPlace, { folder?: undefined }>): LogDatabase {
  if (url === undefined) throw new TypeError('A delivery log has a URL or a folder.'); // The configuration has been checked.
  return { ...settings, url };
}
