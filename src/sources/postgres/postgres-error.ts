import { codeOf } from '../../domain/error-code.ts';
import { SourceError } from '../source-error.ts';

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
    const words = wordsOf(error, code);
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

function wordsOf(error: unknown, code: string): string {
  // Data exceptions and constraint violations quote the content of rows.
  if (/^2[23]/.test(code)) return `a value does not fit its type (SQLSTATE ${code})`;
  // Several addresses were tried: each has its own error, and the one around them has no message.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const said = first instanceof Error ? first.message : String(first);
  const hint: unknown = first instanceof Error && 'hint' in first ? first.hint : undefined;
  const words = said.trim().replace(/\.$/, '') || 'it gave no reason';
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
