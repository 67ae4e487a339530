import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { trustedAuthorities } from '../../webhook/certificate-authorities.ts';
import { PostgresError } from './postgres-error.ts';
import type { PostgresAddress } from './postgres-url.ts';

export interface PostgresPoolOptions {
  readonly password?: string | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

/** Every value as PostgreSQL writes it: numbers and JSON keep their digits. */
export type PostgresRow = Readonly<Record<string, string | null>>;

/** Queries within one transaction. */
export interface PostgresSession {
  /** @param what is asked for, for messages. */
  query(text: string, values: readonly unknown[], what: string): Promise<PostgresAnswer>;
}

export interface PostgresAnswer {
  readonly rows: readonly PostgresRow[];
  readonly columns: readonly string[];
}

const APPLICATION_NAME = 'audience-triggers';
const IDLE_MS = 30_000;
/** A connection is replaced after this long, so that a changed address or certificate is noticed. */
const LIFETIME_S = 600;
/** The server ends a statement before that; this is for a server that does not answer at all. */
const SILENCE_MARGIN_MS = 1000;
const AS_TEXT = { getTypeParser: () => (text: string | null) => text };

/** Connections to one PostgreSQL, for reading only. Every call settles in time, and a call after a failure gets a new connection. */
export class PostgresPool {
  readonly #pool: Pool;
  readonly #shown: string;

  /** Connects nowhere yet. */
  constructor(address: PostgresAddress, options: PostgresPoolOptions) {
    this.#shown = address.shown;
    this.#pool = new Pool(settingsOf(address, options));
    // A connection that ends while unused does not matter, but without a listener it would end the process.
    this.#pool.on('error', () => undefined);
  }

  /** @throws PostgresError */
  async query(text: string, values: readonly unknown[], what: string): Promise<PostgresAnswer> {
    try {
      return answerOf(await this.#pool.query(queryOf(text, values)));
    } catch (error) {
      throw PostgresError.of(error, what, this.#shown);
    }
  }

  /**
   * Runs several queries on one connection, within one transaction, which is rolled back.
   *
   * @param timeoutMs longest time of each; default: as for all.
   * @throws PostgresError
   */
  async transaction<T>(work: (session: PostgresSession) => Promise<T>, what: string, timeoutMs?: number): Promise<T> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw PostgresError.of(error, what, this.#shown);
    });
    const query: PostgresSession['query'] = async (text, values, what) => {
      try {
        return answerOf(await client.query(queryOf(text, values)));
      } catch (error) {
        throw PostgresError.of(error, what, this.#shown);
      }
    };
    try {
      await query('BEGIN READ ONLY', [], what);
      if (timeoutMs !== undefined) await query(`SET LOCAL statement_timeout = ${timeoutMs}`, [], what);
      const result = await work({ query });
      await query('ROLLBACK', [], what);
      client.release();
      return result;
    } catch (error) {
      discard(client);
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function settingsOf(address: PostgresAddress, options: PostgresPoolOptions): PoolConfig {
  const { host, port, database, user } = address;
  const password = options.password ?? address.password;
  const { statementTimeoutMs, connectTimeoutMs } = options;
  return {
    // What is left out is taken from where libpq takes it: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, ~/.pgpass.
    ...(host === '' ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(database === undefined ? {} : { database }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ssl: tlsOf(address, options.certificateAuthorities),
    max: options.poolSize,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: IDLE_MS,
    maxLifetimeSeconds: LIFETIME_S,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + SILENCE_MARGIN_MS,
    options: '-c default_transaction_read_only=on',
    application_name: APPLICATION_NAME,
    keepAlive: true,
  };
}

/** This wins over PGSSLMODE. */
function tlsOf({ tls }: PostgresAddress, authorities: readonly string[]): PoolConfig['ssl'] {
  const isVerified = tls === 'verified' || authorities.length > 0;
  if (!isVerified) return tls === 'none' ? false : { rejectUnauthorized: false };
  const ca = trustedAuthorities(authorities);
  return { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
}

// Extended: one statement, whatever the text says. Without a name it is planned for its values each time, in tens of microseconds.
function queryOf(text: string, values: readonly unknown[]) {
  return { text, values: [...values], types: AS_TEXT, queryMode: 'extended' as const };
}

function answerOf(result: { rows: unknown[]; fields: { name: string }[] }): PostgresAnswer {
  // With AS_TEXT a row holds texts and nulls.
  return { rows: result.rows as PostgresRow[], columns: result.fields.map(({ name }) => name) };
}

/** Its state is not known. */
function discard(client: PoolClient): void {
  client.release(true);
}
