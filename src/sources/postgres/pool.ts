import { type ClientConfig, Pool, type PoolClient, type PoolConfig } from 'pg';
import { definedOf } from '../../domain/json.ts';
import { codeOf } from '../../domain/errors.ts';
import { trustedAuthorities } from '../../webhook/tls.ts';
import { SourceError } from '../source.ts';

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

/** Returns the message of PostgreSQL, or of the way to it, without anything from a row. */
export function postgresWords(error: unknown): string {
  const code = codeOf(error) ?? '';
  // Data exceptions and constraint violations quote the content of rows.
  if (/^2[23]/.test(code)) return `a value does not fit its type (SQLSTATE ${code})`;
  // Several addresses were tried: each has its own error, and the one around them has no message.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const message = first instanceof Error ? first.message : String(first);
  const hint: unknown = first instanceof Error && 'hint' in first ? first.hint : undefined;
  const words = message.trim().replace(/\.$/, '') || 'it gave no reason';
  return typeof hint === 'string' && code.startsWith('42') ? `${words} (${hint.replace(/\.$/, '')})` : words;
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

/** Returns where a connection goes, as which user, and how it is secured. */
export function connectionOf(
  address: PostgresAddress,
  options: Pick<PostgresPoolOptions, 'password' | 'certificateAuthorities' | 'connectTimeoutMs'>,
): ClientConfig {
  const { host, port, database, user } = address;
  const password = options.password ?? address.password;
  return {
    // Settings that are left out come from where libpq takes them: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, ~/.pgpass.
    ...(host === '' ? {} : { host }),
    ...definedOf({ port, database, user, password }),
    ssl: tlsOf(address, options.certificateAuthorities),
    connectionTimeoutMillis: options.connectTimeoutMs,
    application_name: APPLICATION_NAME,
    keepAlive: true,
  };
}

/** This wins over PGSSLMODE. */
function tlsOf({ tls }: PostgresAddress, authorities: readonly string[]): NonNullable<ClientConfig['ssl']> {
  const isVerified = tls === 'verified' || authorities.length > 0;
  if (!isVerified) return tls === 'none' ? false : { rejectUnauthorized: false };
  const ca = trustedAuthorities(authorities);
  return { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) };
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

/** Where a PostgreSQL server is and as which user to connect, according to its URL. */
export interface PostgresAddress {
  /** Empty: PGHOST, or else this machine. A path is a folder of Unix sockets. */
  readonly host: string;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: 'none' | 'verified' | 'unverified';
  /** For people: host, port and database, never the user or the password. */
  readonly shown: string;
}

type PostgresUrlReading =
  | { readonly ok: true; readonly address: PostgresAddress }
  /** `problem` says what is wrong without repeating anything that may be a secret. */
  | { readonly ok: false; readonly problem: string };

/** The scheme of a URL may be in capitals. */
export const POSTGRES_URL = /^postgres(?:ql)?:\/\//i;

/**
 * The meaning of `sslmode` here. In libpq, `require` encrypts without verifying the server; here it verifies, like `verify-full`. `prefer` and `allow` are
 * refused, since somebody between us and the server could force an unencrypted connection.
 */
const TLS_BY_SSLMODE: ReadonlyMap<string, PostgresAddress['tls']> = new Map([
  ['disable', 'none'],
  ['require', 'verified'],
  ['verify-ca', 'verified'],
  ['verify-full', 'verified'],
  ['no-verify', 'unverified'],
]);
const KNOWN_PARAMETERS: ReadonlySet<string> = new Set(['sslmode', 'host']);

/** Reads `postgres://user:password@host:5432/database?sslmode=require`. Never throws. */
export function readPostgresUrl(text: string): PostgresUrlReading {
  if (!POSTGRES_URL.test(text)) return wrong('it must begin with postgres://');
  // For this kind of scheme the URL standard accepts an empty host, as in postgres:///crm.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // If an @ comes after the host, a password with "/" or "?" in it was not escaped: what was parsed as host and path contains parts of it.
  if (url === undefined || /@/.test(url.pathname + url.search))
    return wrong(
      'characters of the user name or password that have a meaning in URLs (@ / ? # : %) must be written as %40 and so on, or the password given separately, as "password"',
    );
  if (url.hash !== '') return wrong('it must not contain #, which must be written as %23 in a password');
  for (const name of url.searchParams.keys())
    if (!KNOWN_PARAMETERS.has(name))
      return wrong(`only the parameters sslmode and host are known, not ${JSON.stringify(name.slice(0, 40))}`);
  const tls = TLS_BY_SSLMODE.get(url.searchParams.get('sslmode') ?? 'disable');
  if (tls === undefined) return wrong(`its sslmode must be one of ${[...TLS_BY_SSLMODE.keys()].join(', ')}`);
  const parts = [url.username, url.password, url.pathname.slice(1), url.hostname].map(decoded);
  const [user, password, database, hostname] = parts;
  if (user === undefined || password === undefined || database === undefined || hostname === undefined)
    return wrong('a % in it must be followed by two hex digits; a literal % must be written as %25');
  const host = (url.searchParams.get('host') ?? hostname).replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? undefined : Number(url.port);
  const shown = `${host === '' ? 'this machine' : host}${port === undefined ? '' : `:${port}`}/${database}`;
  return {
    ok: true,
    address: {
      host,
      port,
      database: database || undefined,
      user: user || undefined,
      password: password || undefined,
      tls,
      shown,
    },
  };
}

function wrong(rule: string): PostgresUrlReading {
  return {
    ok: false,
    problem: `The URL of a PostgreSQL database must look like postgres://user:password@host:5432/database: ${rule}.`,
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
