import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type LibsqlDatabase from 'libsql';
import { codeOf } from '../../domain/errors.ts';
import { noteFellows } from './fellow-workers.ts';
import { addDeeds } from './deeds.ts';
import { DeliveryLogError } from './log-error.ts';
import { countBatch, endWriter, noteDropped } from './log-gaps.ts';
import { type Dialect, type LogSql, raw, secondsOf, type Sql, sql, type SqlRow } from './log-sql.ts';
import type { DeliveryBatch, DeliveryStore } from './delivery-store.ts';
import { countRows, DAYS, hasLate, HOURS, MINUTES, tidyCounts } from './rollup.ts';
import {
  DEEDS,
  DELIVERIES,
  insertRows,
  INDEX_DEEDS,
  INDEX_DELIVERIES,
  makeTable,
  ROLLUP,
  ROLLUP_KEY,
  valuesOf,
  WRITERS,
} from './tables.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** How long, in ms, a reader waits while the file is busy. */
const BUSY_MS = 1_000;
/** The same for a worker, which stands still meanwhile, and tries again later. */
const WRITER_BUSY_MS = 30;
/** Most expired rows that are removed with a batch. */
const EXPIRED_ROWS = 5_000;
const DAY_LENGTH = '2026-11-30'.length;
const NO_TABLE = /no such table/;
/** Its name in its folder. */
const LOG_FILE = 'deliveries.db';

/** Times are RFC 3339 in UTC, with milliseconds, so that their texts are in order. */
const SQLITE: Dialect = {
  types: { time: 'text', id: 'text' },
  timeText: raw,
  minuteBefore: (column) => raw(`strftime('%Y-%m-%dT%H:%M:%fZ', ${column}, '-1 minute')`),
  // A cast takes the number that a text begins with.
  instantOf: (column) => [raw(`unixepoch(${secondsOf(column)})`), raw(`CAST('0' || substr(${column}, 20) AS REAL)`)],
  elementsOf: (json) => sql`json_each(${json})`,
};

/** Makes the tables, unless they are there. */
const MAKE_TABLES = [
  makeTable(SQLITE, 'deliveries', DELIVERIES),
  makeTable(SQLITE, 'delivery_writers', WRITERS),
  ...[MINUTES, HOURS, DAYS].map(({ table }) => `${makeTable(SQLITE, table, ROLLUP, ROLLUP_KEY)} WITHOUT ROWID`),
  makeTable(SQLITE, 'deeds', DEEDS),
  INDEX_DELIVERIES,
  INDEX_DEEDS,
].join(';\n');

/** For a file that 0.2.0 made. */
const ADD_SEQUENCE = `ALTER TABLE deliveries ADD COLUMN sequence ${DELIVERIES['sequence']}`;

export interface FileLogOptions {
  readonly folder: string;
  readonly retentionDays: number;
  /** Names this writer; no other has the name, nor had it before. */
  readonly writer: string;
}

/** Deliveries in a file of SQLite: for one machine. Several processes may have it open. */
export class FileDeliveryStore implements DeliveryStore {
  readonly #options: FileLogOptions;
  readonly #file: OpenFile;
  /** The day for which expired counts have been removed. */
  #day = '';
  /** When the file was known to have all before that. */
  #wholeAt = new Date().toISOString();

  constructor(options: FileLogOptions) {
    this.#options = options;
    this.#file = new OpenFile(options.folder, () => openToWrite(options.folder));
  }

  /** @throws DeliveryLogError */
  async write(batch: DeliveryBatch): Promise<number> {
    const { folder, writer } = this.#options;
    const now = new Date().toISOString();
    try {
      const database = await this.#file.database();
      database.exec('BEGIN IMMEDIATE');
      try {
        const { number, rows, deeds = [], dropped, wholeAt = now, polled } = batch;
        const isNew = run(database, countBatch(writer, now, wholeAt, number, rows.length)).length > 0;
        const added = [
          insertRows(SQLITE, 'deliveries', DELIVERIES, rows.map(valuesOf)),
          ...countRows(SQLITE, rows),
          addDeeds(SQLITE, deeds),
          ...(dropped > 0 ? [noteDropped(`${writer} ${number}`, this.#wholeAt, now, dropped)] : []),
        ];
        const expired = this.#expired(now, hasLate(rows, Date.parse(now)));
        for (const one of [...(isNew ? added : []), ...expired, ...noteFellows(polled)]) run(database, one);
        database.exec('COMMIT');
        this.#wholeAt = now;
        this.#day = now.slice(0, DAY_LENGTH);
      } finally {
        // On a full disk, SQLite has done so by itself.
        if (database.inTransaction) database.exec('ROLLBACK');
      }
      return 0;
    } catch (error) {
      throw fileError('written', folder, error);
    }
  }

  /** The end is noted unless the file is busy just then. */
  async close(lostRows = 0): Promise<void> {
    try {
      if (lostRows === 0 && this.#file.opened !== undefined) run(this.#file.opened, endWriter(this.#options.writer));
    } catch {
      // Then it looks like a gap, for an hour.
    }
    this.#file.close();
    await Promise.resolve();
  }

  /** The statements that remove what is too old. */
  #expired(now: string, isLate: boolean): Sql[] {
    const first = new Date(Date.parse(now.slice(0, DAY_LENGTH)) - this.#options.retentionDays * DAY_MS).toISOString();
    const rows = sql`DELETE FROM deliveries WHERE rowid IN (
      SELECT rowid FROM deliveries WHERE at < ${first} LIMIT ${EXPIRED_ROWS})`;
    // The others have no index by time.
    return this.#day === now.slice(0, DAY_LENGTH) && !isLate ? [rows] : [rows, ...tidyCounts(Date.parse(now), first)];
  }
}

function run(database: LibsqlDatabase.Database, { text, values }: Sql): SqlRow[] {
  return database.prepare(text).all(...values) as SqlRow[]; // Texts and numbers.
}

/** The delivery log in a folder, as it is read; with `mayWrite`, also to change it. */
export function fileSql(folder: string, mayWrite = false): LogSql {
  const file = new OpenFile(folder, () => open(folder));
  return {
    ...SQLITE,
    query: async (query) => {
      try {
        if (inodeOf(folder) === undefined) return []; // Opening it would make one.
        return run(await file.database(), query);
      } catch (error) {
        if (error instanceof Error && NO_TABLE.test(error.message)) return [];
        throw fileError(mayWrite ? 'written' : 'read', folder, error);
      }
    },
    close: () => {
      file.close();
      return Promise.resolve();
    },
  };
}

/** The file at its path. One that somebody removes or replaces while it is open is opened anew. */
class OpenFile {
  readonly #folder: string;
  readonly #open: () => Promise<LibsqlDatabase.Database>;
  #inode: number | undefined;
  opened: LibsqlDatabase.Database | undefined;

  constructor(folder: string, open: () => Promise<LibsqlDatabase.Database>) {
    this.#folder = folder;
    this.#open = open;
  }

  async database(): Promise<LibsqlDatabase.Database> {
    if (this.#inode !== inodeOf(this.#folder)) this.close();
    this.opened ??= await this.#open();
    this.#inode = inodeOf(this.#folder);
    return this.opened;
  }

  close(): void {
    this.opened?.close();
    this.opened = undefined;
  }
}

function inodeOf(folder: string): number | undefined {
  return statSync(join(folder, LOG_FILE), { throwIfNoEntry: false })?.ino;
}

async function openToWrite(folder: string): Promise<LibsqlDatabase.Database> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const database = await open(folder, WRITER_BUSY_MS);
  // It has people's data.
  chmodSync(join(folder, LOG_FILE), 0o600);
  // Readers then never wait for the writer. A crash of the machine may lose the last rows, and no more.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
  database.exec(MAKE_TABLES);
  const hasSequence = database.prepare("SELECT 1 FROM pragma_table_info('deliveries') WHERE name = 'sequence'").get();
  if (hasSequence === undefined) database.exec(ADD_SEQUENCE);
  return database;
}

async function open(folder: string, busyMs = BUSY_MS): Promise<LibsqlDatabase.Database> {
  // Loaded here: its native part costs nothing where it is not used.
  const { default: Database } = await import('libsql');
  const database = new Database(join(folder, LOG_FILE));
  database.exec(`PRAGMA busy_timeout = ${busyMs}`);
  return database;
}

function fileError(what: 'read' | 'written', folder: string, error: unknown): DeliveryLogError {
  return new DeliveryLogError(what, join(folder, LOG_FILE), codeOf(error) ?? 'it is no database', error);
}
