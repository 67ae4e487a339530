import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { findPostgres, Postgres } from '../../demo/postgres-server.ts';
import { stringifyJson } from '../../src/domain/json.ts';
import type { SourceContent } from './memory-source.ts';
import { tempFolder } from './temp-folder.ts';

const example = async (name: string): Promise<string> =>
  await readFile(new URL(`../../examples/postgres/${name}.sql`, import.meta.url), 'utf8');

/** Nothing here has to survive a power cut, and that would take most of a test's time. */
const UNSAFE = { fsync: 'off', full_page_writes: 'off' };

/** A real PostgreSQL for one test file. */
export class TestPostgres {
  readonly server: Postgres;
  #databases = 0;

  /** Fails loudly where PostgreSQL cannot be run: otherwise what is promised about it would go untested. */
  static async start(): Promise<TestPostgres> {
    const folder = tempFolder();
    return new TestPostgres(await Postgres.start(await findPostgres(folder), folder, { settings: UNSAFE }));
  }

  private constructor(server: Postgres) {
    this.server = server;
  }

  /** Makes an empty database. */
  async database(): Promise<TestDatabase> {
    const name = `test_${++this.#databases}`;
    await ask(this.server.urlOf('postgres'), `CREATE DATABASE ${name}`);
    return new TestDatabase(this.server.urlOf(name), name);
  }

  /** Makes a database with the default schema. */
  async filled(content: Partial<SourceContent> = {}): Promise<TestDatabase> {
    const database = await this.database();
    const schema = await example('schema');
    await database.query(schema.slice(0, schema.indexOf('INSERT INTO')));
    await database.query('ALTER TABLE audiences ADD COLUMN window_minutes integer');
    for (const { id, slug, name, windowMinutes, members } of content.audiences ?? []) {
      await database.query('INSERT INTO audiences VALUES ($1, $2, $3, $4)', [id, slug, name, windowMinutes]);
      await database.query('INSERT INTO audience_members SELECT $1, unnest($2::text[])', [id, members]);
    }
    const profiles = Object.entries(content.profiles ?? {});
    await database.query('INSERT INTO profiles SELECT unnest($1::text[]), unnest($2::jsonb[])', [
      profiles.map(([user]) => user),
      profiles.map(([, profile]) => stringifyJson(profile)),
    ]);
    return database;
  }

  /** Makes a database with the table of an outbox, and the consumer's role. */
  async withOutbox(): Promise<TestDatabase> {
    const database = await this.database();
    const outbox = await example('outbox');
    // The role is the whole server's, and there from the first database on.
    const roles = await database.query("SELECT FROM pg_roles WHERE rolname = 'audience_triggers_outbox'");
    await database.query(roles.length === 0 ? outbox : outbox.replace(/^CREATE ROLE .*$/m, ''));
    return database;
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }
}

export class TestDatabase {
  readonly url: string;
  readonly name: string;

  constructor(url: string, name: string) {
    this.url = url;
    this.name = name;
  }

  /** As its owner, on a connection of its own. */
  async query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
    return await ask(this.url, text, values);
  }
}

async function ask(url: string, text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text, values && [...values]);
    return rows;
  } finally {
    await client.end();
  }
}
