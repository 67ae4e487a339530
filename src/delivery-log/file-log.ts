import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type LibsqlDatabase from 'libsql';
import { codeOf } from '../domain/errors.ts';
import { noteFellows } from './fellow-workers.ts';
import { addDeeds, deedsJson, makeDeeds } from './deeds.ts';
import { textOf } from './delivery-query.ts';
import { DeliveryLogError } from './log-error.ts';
import {
  ADD_TO_KNOWN,
  COLUMNS,
  type LogSql,
  MAKE_INDEXES,
  secondsOf,
  type SqlRow,
  valuesOf,
  WRITER,
} from './log-sql.ts';
import type { DeliveryBatch, DeliveryStore, StoredRow } from './delivery-store.ts';
import { hasLate, rollupsOf, tidyCounts } from './rollup.ts';

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

const ROLLUP = `job_id TEXT, began INTEGER, verdict TEXT, outcome TEXT, bucket INTEGER, count INTEGER NOT NULL,
  PRIMARY KEY (job_id, began, verdict, outcome, bucket)`;

/** Makes the tables, unless they are there. Times are RFC 3339 in UTC, with milliseconds, so that their texts are in order. */
const MAKE_TABLES = `
CREATE TABLE IF NOT EXISTS deliveries (
  at TEXT NOT NULL, job_id TEXT NOT NULL, delivery_id TEXT NOT NULL, batch_id TEXT, person TEXT NOT NULL,
  audience TEXT NOT NULL, event TEXT NOT NULL, trigger_at TEXT NOT NULL, attempt INTEGER NOT NULL,
  verdict TEXT NOT NULL, status INTEGER, code TEXT, duration_ms REAL NOT NULL, request_bytes INTEGER NOT NULL,
  answer TEXT, worker TEXT NOT NULL, lane TEXT NOT NULL, sequence INTEGER NOT NULL DEFAULT 0, exchange TEXT
);
${MAKE_INDEXES}
CREATE TABLE IF NOT EXISTS delivery_writers (
  writer TEXT PRIMARY KEY, began_at TEXT NOT NULL, written_at TEXT NOT NULL, batches INTEGER NOT NULL,
  rows INTEGER NOT NULL, dropped INTEGER NOT NULL, ended_at TEXT
);
CREATE TABLE IF NOT EXISTS delivery_minutes (${ROLLUP}) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery_hours (${ROLLUP}) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery_days (${ROLLUP}) WITHOUT ROWID;
${makeDeeds('TEXT')}`;

/** For a file that 0.2.0 made. */
const ADD_SEQUENCE = 'ALTER TABLE deliveries ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0';

const REMOVE_EXPIRED = `DELETE FROM deliveries WHERE rowid IN (
  SELECT rowid FROM deliveries WHERE at < ?1 LIMIT ${EXPIRED_ROWS})`;

const ADD_DEEDS = addDeeds('json_each(?1)');
const ADD_ROWS = insertFromJson('deliveries', COLUMNS);

/** A statement whose one value is a JSON list of lists, each in the order of the columns. */
function insertFromJson(table: string, columns: readonly string[]): string {
  const values = columns.map((_, i) => `value ->> ${i}`);
  return `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${values.join(', ')} FROM json_each(?1)`;
}

function addRollups(table: string): string {
  const insert = insertFromJson(`${table} AS known`, ['job_id', 'began', 'verdict', 'outcome', 'bucket', 'count']);
  // Otherwise SQLite would read ON as a part of the FROM.
  return `${insert} WHERE true ${ADD_TO_KNOWN}`;
}

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
        const counted = database.prepare(numbered(WRITER.countBatch)).all(writer, now, wholeAt, number, rows.length);
        if (counted.length > 0) {
          add(database, rows);
          database.prepare(ADD_DEEDS).run(deedsJson(deeds));
        }
        if (counted.length > 0 && dropped > 0)
          database.prepare(numbered(WRITER.noteDropped)).run(`${writer} ${number}`, this.#wholeAt, now, dropped);
        this.#tidy(database, now, hasLate(rows, Date.parse(now)));
        for (const { text, values } of noteFellows(polled)) database.prepare(numbered(text)).run(...values);
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
      const now = new Date().toISOString();
      if (lostRows === 0) this.#file.opened?.prepare(numbered(WRITER.end)).run(this.#options.writer, now);
    } catch {
      // Then it looks like a gap, for an hour.
    }
    this.#file.close();
    await Promise.resolve();
  }

  #tidy(database: LibsqlDatabase.Database, now: string, isLate: boolean): void {
    const first = new Date(Date.parse(now.slice(0, DAY_LENGTH)) - this.#options.retentionDays * DAY_MS).toISOString();
    database.prepare(REMOVE_EXPIRED).run(first);
    // These have no index by time.
    if (this.#day === now.slice(0, DAY_LENGTH) && !isLate) return;
    for (const { text, values } of tidyCounts(Date.parse(now), first)) database.prepare(numbered(text)).run(...values);
  }
}

function add(database: LibsqlDatabase.Database, rows: readonly StoredRow[]): void {
  // SQLite cuts a text at its NUL, and no search would find it.
  const values = rows.map((row) => valuesOf(row).map((value) => textOf(value ?? null)));
  database.prepare(ADD_ROWS).run(JSON.stringify(values));
  for (const [table, rollups] of rollupsOf(rows)) {
    const values = rollups.map((one) => [one.jobId, one.began, one.verdict, one.outcome, one.bucket, one.count]);
    database.prepare(addRollups(table)).run(JSON.stringify(values));
  }
}

/** The delivery log in a folder, as it is read; with `mayWrite`, also to change it. */
export function fileSql(folder: string, mayWrite = false): LogSql {
  const file = new OpenFile(folder, () => open(folder));
  return {
    timeText: (column) => column,
    minuteBefore: (column) => `strftime('%Y-%m-%dT%H:%M:%fZ', ${column}, '-1 minute')`,
    // A cast takes the number that a text begins with.
    instantOf: (column) => [`unixepoch(${secondsOf(column)})`, `CAST('0' || substr(${column}, 20) AS REAL)`],
    query: async ({ text, values }) => {
      try {
        if (inodeOf(folder) === undefined) return []; // Opening it would make one.
        return (await file.database()).prepare(numbered(text)).all(...values) as SqlRow[]; // Texts and numbers.
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

/** SQLite takes `$1` for a name. */
function numbered(text: string): string {
  return text.replaceAll(/\$(\d+)/g, '?$1');
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
