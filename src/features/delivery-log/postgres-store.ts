import { once } from 'node:events';
import { Socket } from 'node:net';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { codeOf } from '../../domain/errors.ts';
import { postgresWords } from '../../postgres/connection.ts';
import { addDeeds } from './deeds.ts';
import { noteFellows } from './fellow-workers.ts';
import { ASKED, type LogDatabase, logConnection } from './postgres-database.ts';
import { DeliveryLogError } from './log-error.ts';
import { countBatch, endWriter, noteDropped } from './log-gaps.ts';
import type { Sql } from './log-sql.ts';
import type { DeliveryBatch, DeliveryStore, StoredRow } from './delivery-store.ts';
import { countRows, hasLate, tidyCounts } from './rollup.ts';
import {
  dayOf,
  expiredPartitions,
  firstDay,
  LOCK_SCHEMA,
  MAKE_TABLES,
  makePartition,
  partitionOf,
  PARTITIONS,
} from './postgres-schema.ts';
import { numbered, POSTGRES } from './postgres-sql.ts';
import { DELIVERIES, valuesOf } from './tables.ts';

export interface PostgresStoreOptions extends LogDatabase {
  /** Whole days of deliveries that are kept, besides today. */
  readonly retentionDays: number;
  /** Names this writer; no other has the name, nor had it before. */
  readonly writer: string;
}

const GOODBYE_MS = 1_000;
/** The longest that readers may wait behind the end of a partition. */
const DROP_LOCK_MS = 300;
const LOCK_NOT_AVAILABLE = '55P03';

/** A connection that can be cut: on a network that has fallen silent, neither an answer nor an end would ever come. */
interface Connected {
  readonly client: Client;
  readonly socket: Socket;
}

/** Deliveries in PostgreSQL, a partition for each day. One connection, opened when it is first needed and again after a failure. */
export class PostgresDeliveryStore implements DeliveryStore {
  readonly #options: PostgresStoreOptions;
  readonly #connection: ReturnType<typeof logConnection>;
  #connected: Connected | undefined;
  #isClosed = false;
  #asked = (): void => undefined;
  /** Days whose partitions are there. */
  readonly #days = new Set<string>();
  /** When the database was known to have all before that. */
  #wholeAt = new Date().toISOString();

  constructor(options: PostgresStoreOptions) {
    this.#options = options;
    this.#connection = logConnection(options);
  }

  /** @throws DeliveryLogError */
  async write(batch: DeliveryBatch): Promise<number> {
    const { writer, retentionDays, connectTimeoutMs, statementTimeoutMs } = this.#options;
    const late = setTimeout(() => this.#drop(), connectTimeoutMs + 2 * statementTimeoutMs);
    try {
      const { client } = (this.#connected ??= await this.#connect());
      const now = new Date().toISOString();
      const { number, deeds = [], dropped, wholeAt = now, polled } = batch;
      // After a long outage some are too old: their partitions would be dropped at once.
      const first = firstDay(Date.now(), retentionDays);
      const rows = batch.rows.filter(({ at }) => at >= first);
      const isNewDay = await this.#makeDays(client, daysOf([now, ...rows.map(({ at }) => at)]));
      const counted = countBatch(writer, now, wholeAt, number, rows.length);
      await client.query('BEGIN');
      // Otherwise the database has the batch: only its answer was lost.
      if ((await client.query(numbered(counted))).rows.length > 0) {
        if (dropped > 0) await run(client, [noteDropped(`${writer} ${number}`, this.#wholeAt, now, dropped)]);
        if (rows.length > 0) await copy(client, rows);
        await run(client, countRows(POSTGRES, rows));
        if (deeds.length > 0) await run(client, [addDeeds(POSTGRES, deeds)]);
      }
      await client.query('COMMIT');
      // Each by itself: workers that note each other never wait in a circle.
      await run(client, noteFellows(polled));
      if (isNewDay || hasLate(rows, Date.parse(now))) await this.#tidy(client);
      this.#wholeAt = now;
      return 0;
    } catch (error) {
      this.#drop();
      throw new DeliveryLogError('written', `PostgreSQL, ${this.#connection.shown}`, postgresWords(error), error);
    } finally {
      clearTimeout(late);
    }
  }

  onAsked(asked: () => void): void {
    this.#asked = asked;
  }

  /** The end is noted if the database answers within a second. */
  async close(lostRows = 0): Promise<void> {
    this.#isClosed = true;
    const late = setTimeout(() => this.#drop(), GOODBYE_MS);
    if (lostRows === 0)
      await this.#connected?.client.query(numbered(endWriter(this.#options.writer))).catch(() => undefined);
    clearTimeout(late);
    this.#drop();
  }

  async #connect(): Promise<Connected> {
    const socket = new Socket();
    const client = new Client({ ...this.#connection.settings, stream: () => socket });
    // The query that is under way says so, too; without a listener it would end the process.
    client.on('error', () => this.#drop());
    client.on('notification', () => this.#asked());
    try {
      await client.connect();
      await client.query(`LISTEN ${ASKED}`);
      // Otherwise nobody would close it any more.
      if (this.#isClosed) throw new Error('The log was closed meanwhile.');
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return { client, socket };
  }

  /** Cuts the connection, which undoes what was begun. */
  #drop(): void {
    this.#connected?.socket.destroy();
    this.#connected = undefined;
    // Somebody may have dropped a partition.
    this.#days.clear();
  }

  /** Makes the partitions of these days. @returns whether one was unknown. */
  async #makeDays(client: Client, days: readonly string[]): Promise<boolean> {
    const missing = days.filter((day) => !this.#days.has(day));
    if (missing.length === 0) return false;
    await client.query('BEGIN');
    await client.query(LOCK_SCHEMA);
    if (this.#days.size === 0) await client.query(MAKE_TABLES);
    const names = await partitionsOf(client);
    for (const day of missing)
      if (!names.includes(partitionOf(day))) for (const statement of makePartition(day)) await client.query(statement);
    await client.query('COMMIT');
    for (const day of missing) this.#days.add(day);
    return true;
  }

  /** Drops what is too old by the database's clock, and sums up days. If somebody else is at it just now, that is done at another time. */
  async #tidy(client: Client): Promise<void> {
    const { rows } = await client.query<{ ms: string }>('SELECT extract(epoch FROM now()) * 1000 AS ms');
    const now = Number(rows[0]?.ms);
    try {
      await client.query(`SET lock_timeout = ${DROP_LOCK_MS}`);
      for (const name of expiredPartitions(await partitionsOf(client), now, this.#options.retentionDays))
        await client.query(`DROP TABLE ${name}`);
      const first = `${firstDay(now, this.#options.retentionDays)}T00:00:00Z`;
      await run(client, tidyCounts(now, first));
    } catch (error) {
      if (codeOf(error) !== LOCK_NOT_AVAILABLE) throw error;
    }
    await client.query('SET lock_timeout = 0');
  }
}

async function run(client: Client, statements: readonly Sql[]): Promise<void> {
  for (const statement of statements) await client.query(numbered(statement));
}

async function partitionsOf(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(PARTITIONS);
  return rows.map(({ name }) => name);
}

/** The days of times, each once. */
function daysOf(times: readonly string[]): string[] {
  return [...new Set(times.map((at) => at.slice(0, '2026-11-30'.length)))].map(dayOf);
}

async function copy(client: Client, rows: readonly StoredRow[]): Promise<void> {
  const stream = client.query(copyFrom(`COPY deliveries (${Object.keys(DELIVERIES).join(', ')}) FROM STDIN`));
  // Tabs between values, \\N for none.
  const lines = rows.map((row) => valuesOf(row).map(escaped).join('\t'));
  stream.end([...lines, ''].join('\n'));
  await once(stream, 'finish');
}

const NONE = '\\N';
const SPECIAL = /[\\\t\n\r\0]/;
const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\0': '\uFFFD',
};

/** PostgreSQL has no NUL in its texts. */
function escaped(value: string | number | undefined): string | number {
  if (typeof value !== 'string') return value ?? NONE;
  return SPECIAL.test(value) ? value.replace(/[\\\t\n\r\0]/g, (one) => ESCAPES[one] ?? one) : value;
}
