import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { codeOf } from '../../domain/errors.ts';
import {
  type ConnectionOptions,
  connectionOf,
  type PostgresAddress,
  postgresWords,
} from '../../postgres/connection.ts';
import { SourceError } from '../../activities/audience-source.ts';

/** The error that came from PostgreSQL, or from the connection to it, instead of rows. */
export class PostgresError extends SourceError {
  /** SQLSTATE, or the code of the network or of TLS; empty when there is none. */
  readonly code: string;
  /** Whether only another configuration, another schema or another grant helps. */
  readonly isLasting: boolean;

  /**
   * @param what was asked for: `the members (audience_members)`.
   * @param where the database that was asked, without secrets.
   */
  static of(error: unknown, what: string, where: string): PostgresError {
    const code = codeOf(error) ?? '';
    const words = postgresWords(error);
    const advice = adviceOf(code);
    return new PostgresError(
      `PostgreSQL (${where}) gave no answer about ${what}: ${words}.${advice === undefined ? '' : ` ${advice}`}`,
      code,
    );
  }

  // Without a cause, since drivers attach settings and rows to their errors.
  private constructor(message: string, code: string) {
    super(message);
    this.code = code;
    this.isLasting = /^(?:28|3D|3F|42)/.test(code);
  }
}

const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/^57014$/, 'Is there an index that begins with its columns? "statementTimeoutMs" can allow more time.'],
  [/^25006$/, 'A source only reads, so its queries must not write.'],
  [/^42501$/, 'Its role needs SELECT on the tables, and USAGE on their schema.'],
  [/^42/, 'Correct the names or queries of "source" in the configuration, or the schema (docs/sources/postgres.md).'],
  [/^28/, 'Correct the user name and password of "source" in the configuration.'],
  [/^3D|^3F/, 'Correct the database that the URL of "source" names.'],
  [/^53300$/, 'The server has too few connections left: make "poolSize" smaller, or its max_connections larger.'],
  [/^(?:ECONN|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|08|57P)/, 'It will be asked again.'],
  [
    /CERT|SIGNATURE|ALTNAME|^ERR_TLS|^ERR_SSL/,
    'The certificate is verified: name its authority in "certificateAuthorities", and write the host as in the certificate.',
  ],
];

function adviceOf(code: string): string | undefined {
  return ADVICE.find(([pattern]) => pattern.test(code))?.[1];
}

export interface PostgresPoolOptions extends ConnectionOptions {
  readonly poolSize: number;
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

  /** Does not connect yet. */
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
  const { statementTimeoutMs } = options;
  return {
    ...connectionOf(address, options),
    max: options.poolSize,
    idleTimeoutMillis: IDLE_MS,
    maxLifetimeSeconds: LIFETIME_S,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + SILENCE_MARGIN_MS,
    options: '-c default_transaction_read_only=on',
  };
}

// Extended: only one statement, even if the text has several. Without a name it is planned for its values each time, in tens of microseconds.
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
