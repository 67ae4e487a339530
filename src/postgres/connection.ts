import type { ClientConfig } from 'pg';
import { codeOf } from '../domain/errors.ts';
import { definedOf } from '../domain/json.ts';
import { trustedAuthorities } from '../network/tls.ts';

const APPLICATION_NAME = 'audience-triggers';

export interface ConnectionOptions {
  readonly password?: string | undefined;
  readonly certificateAuthorities: readonly string[];
  readonly connectTimeoutMs: number;
}

/** Returns where a connection goes, as which user, and how it is secured. */
export function connectionOf(address: PostgresAddress, options: ConnectionOptions): ClientConfig {
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
