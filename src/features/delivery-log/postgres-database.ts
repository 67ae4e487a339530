import type { ClientConfig } from 'pg';
import { connectionOf, readPostgresUrl } from '../../postgres/connection.ts';

/** A PostgreSQL database with a delivery log. */
export interface LogDatabase {
  readonly url: string;
  readonly password?: string | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

/** The channel of `NOTIFY` by which readers ask writers how far they have written. */
export const ASKED = 'delivery_log_asked';

/** The server ends a statement before that; this is for a server that does not answer at all. */
const SILENCE_MARGIN_MS = 1_000;

/** Returns how a connection is made. `shown`: host, port and database, for people. */
export function logConnection(database: LogDatabase): { readonly settings: ClientConfig; readonly shown: string } {
  const { statementTimeoutMs } = database;
  const reading = readPostgresUrl(database.url);
  if (!reading.ok) throw new TypeError(reading.problem); // The configuration has been checked.
  const settings = {
    ...connectionOf(reading.address, database),
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + SILENCE_MARGIN_MS,
  };
  return { settings, shown: reading.address.shown };
}
