import { Socket } from 'node:net';
import { Client } from 'pg';
import type { OutboxConfig } from './config.ts';
import { codeOf } from '../../domain/errors.ts';
import { MAX_TRIGGER_BYTES } from '../../domain/trigger.ts';
import { connectionOf, type PostgresAddress, postgresWords } from '../../postgres/connection.ts';
import { quotedTable } from '../../postgres/identifier.ts';

/** The database did not do what an outbox needs. The error's text holds nothing of a row, and no password. */
export class OutboxError extends Error {
  override readonly name = 'OutboxError';
  /** SQLSTATE, or the code of the network or of TLS; empty when there is none. */
  readonly code: string;
  /** Only another configuration, schema or grant helps. */
  readonly isLasting: boolean;
  constructor(where: string, error: unknown) {
    const code = codeOf(error) ?? '';
    const advice = ADVICE.find(([pattern]) => pattern.test(code))?.[1];
    super(
      `The outbox (PostgreSQL, ${where}) cannot be read: ${postgresWords(error)}.${advice === undefined ? '' : ` ${advice}`}`,
    );
    this.code = code;
    this.isLasting = /^(?:28|3D|3F|42)/.test(code);
  }
}

const ADVICE: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [/^42501$/, 'Its role needs SELECT and DELETE, or SELECT and UPDATE, on the table, and USAGE on its schema.'],
  [/^42/, 'Correct "outbox.table", or make the table: examples/postgres/outbox.sql (docs/consumers.md).'],
  [/^28|^3D/, 'Correct the user name, the password and the database of "outbox.url".'],
];

/** The fields of a row that can make a trigger. */
export interface OutboxRow {
  readonly id: string;
  readonly audience: string | null;
  readonly user: string | null;
  readonly event: string | null;
  /** RFC 3339, the same whenever it is read: the row's time, with the last digits of its id. */
  readonly at: string | null;
  /** JSON; null: none. */
  readonly profile: string | null;
  readonly isTooLarge: boolean;
  /** Epoch seconds. */
  readonly changedAtS: number;
}

/** The outcome of each row of a transaction. */
export interface RowsDone {
  /** Temporal has them. */
  readonly accepted: readonly string[];
  /** They are not triggers; each has the reason. */
  readonly setAside: readonly { readonly id: string; readonly problem: string }[];
}

/** The channel that `examples/postgres/outbox.sql` notifies. */
const CHANNEL = 'audience_changes';
/** PostgreSQL's JSON has blanks that ours has not, at most half as much again: anything longer than this is certainly too large. */
const MOST_PROFILE_BYTES = 2 * MAX_TRIGGER_BYTES;
const SILENCE_MARGIN_MS = 1_000;
/** How long, in ms, a connection may take to end: on a network that has fallen silent, that would take forever. */
const GOODBYE_MS = 1_000;

/** How long silence may be, and how often it is broken during a turn, in ms. */
export interface TurnTimes {
  /** The database ends a transaction that has been silent for so long, so that another consumer goes on when a machine is gone. */
  readonly silenceMs: number;
  readonly keepAliveMs: number;
}

const TURN_TIMES: TurnTimes = { silenceMs: 60_000, keepAliveMs: 15_000 };

type Settings = Pick<
  OutboxConfig,
  | 'password'
  | 'certificateAuthorities'
  | 'connectTimeoutMs'
  | 'statementTimeoutMs'
  | 'table'
  | 'accepted'
  | 'poisoned'
  | 'jobs'
>;

/** One connection to the table of an outbox. After an error it is unusable: closing it undoes what was begun. */
export class OutboxTable {
  readonly #client: Client;
  readonly #socket = new Socket();
  readonly #settings: Settings;
  readonly #where: string;
  readonly #times: TurnTimes;
  #turn = new AbortController();

  /**
   * Connects, checks that the table is as it has to be and may be read and changed, and listens for notifications.
   * @param onWritten called when a row may have been committed, and when the connection is lost.
   * @param stop once it is aborted, connecting ends.
   * @throws OutboxError
   */
  static async connect(
    address: PostgresAddress,
    settings: Settings,
    onWritten: () => void,
    stop: AbortSignal,
    times = TURN_TIMES,
  ): Promise<OutboxTable> {
    const table = new OutboxTable(address, settings, onWritten, times);
    const cut = () => void table.#socket.destroy();
    stop.addEventListener('abort', cut);
    try {
      await table.#client.connect();
      await table.#client.query(`LISTEN ${CHANNEL}`);
      await table.#check();
      return table;
    } catch (error) {
      await table.close();
      throw error instanceof OutboxError ? error : new OutboxError(address.shown, error);
    } finally {
      stop.removeEventListener('abort', cut);
    }
  }

  private constructor(address: PostgresAddress, settings: Settings, onWritten: () => void, times: TurnTimes) {
    // Time limits are set in each transaction: PgBouncer refuses unknown settings at the start of a connection.
    const query_timeout = settings.statementTimeoutMs + SILENCE_MARGIN_MS;
    this.#client = new Client({ ...connectionOf(address, settings), query_timeout, stream: () => this.#socket });
    this.#client.on('notification', onWritten);
    this.#client.on('error', (error) => {
      this.#turn.abort(new OutboxError(this.#where, error));
      onWritten();
    });
    this.#settings = settings;
    this.#times = times;
    this.#where = address.shown;
  }

  /** Checks that rows can be read, without reading one: names, types and grants. Also checks that they may be deleted or marked. */
  async #check(): Promise<void> {
    const { table, accepted, poisoned, jobs } = this.#settings;
    await this.#query(SELECT(table), [0, MOST_PROFILE_BYTES]);
    const [granted = {}] = await this.#query(GRANTED, [quotedTable(table)]);
    const needed = [
      ...(accepted === 'delete' ? ['DELETE'] : ['UPDATE (accepted_at)']),
      ...(poisoned === 'set-aside' || (accepted === 'mark' && jobs === undefined) ? ['UPDATE (problem)'] : []),
    ];
    const missing = needed.filter((right) => granted[right] !== true);
    if (missing.length === 0) return;
    const role = typeof granted['role'] === 'string' ? granted['role'] : '';
    const words = `its role may not ${missing.join(', ')}. Run, as the owner of the table: GRANT ${missing.join(', ')} ON ${quotedTable(table)} TO ${role}`;
    throw new OutboxError(this.#where, Object.assign(new Error(words), { code: NOT_GRANTED }));
  }

  /**
   * Reads the first rows that are not done yet, has `take` decide about them, and carries that out, all in one transaction. Meanwhile no other
   * consumer reads the table: this keeps a person's rows in order.
   *
   * @param take gets a signal that is aborted once the turn is abandoned, or the connection, and with it the turn, is lost.
   * @returns how many rows were read; undefined when it is another consumer's turn
   * @throws OutboxError, and errors of `take`. Nothing is changed then.
   */
  async inTurn(
    limit: number,
    take: (rows: readonly OutboxRow[], isOver: AbortSignal) => Promise<RowsDone>,
  ): Promise<number | undefined> {
    const { table, accepted: way, statementTimeoutMs } = this.#settings;
    const turn = new AbortController();
    this.#turn = turn;
    await this.#query(BEGIN(statementTimeoutMs, this.#times.silenceMs));
    const [answer] = await this.#query(TRY_TURN, [quotedTable(table)]);
    if (answer?.['mine'] !== true) {
      await this.#query('ROLLBACK');
      return undefined;
    }
    const rows = await this.#query(SELECT(table), [limit, MOST_PROFILE_BYTES]);
    const { accepted, setAside } = await this.#keptAlive(turn, async () => await take(rows.map(rowOf), turn.signal));
    if (accepted.length > 0) await this.#query(DONE[way](table), [accepted]);
    for (const { id, problem } of setAside) await this.#query(SET_ASIDE(table), [id, problem]);
    await this.#query('COMMIT');
    return rows.length;
  }

  /** Keeps the transaction alive meanwhile; a database that does not answer ends the turn. */
  async #keptAlive<T>(turn: AbortController, work: () => Promise<T>): Promise<T> {
    let asking: Promise<unknown> | undefined;
    const ask = async (): Promise<void> => {
      await this.#query('SELECT 1').catch((error) => turn.abort(error));
      asking = undefined;
    };
    const timer = setInterval(() => void (asking ??= ask()), this.#times.keepAliveMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      // A connection runs one query at a time.
      await asking;
    }
  }

  /** Ends the turn that is under way, if any, without waiting for it or for its queries. */
  abandon(reason: Error): void {
    this.#turn.abort(reason);
    this.#socket.destroy();
  }

  /** Never rejects. */
  async close(): Promise<void> {
    const late = setTimeout(() => this.#socket.destroy(), GOODBYE_MS);
    await this.#client.end().catch(() => undefined);
    clearTimeout(late);
  }

  async #query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
    try {
      // With values: the extended protocol, and no name, so that PgBouncer may stand between.
      const { rows } = await this.#client.query<Record<string, unknown>>(text, values && [...values]);
      return rows;
    } catch (error) {
      throw new OutboxError(this.#where, error);
    }
  }
}

/** SQLSTATE insufficient_privilege, with which a statement would be refused. */
const NOT_GRANTED = '42501';

const GRANTED = `SELECT quote_ident(current_user) AS role, has_table_privilege($1::text, 'DELETE') AS "DELETE",
  has_column_privilege($1::text, 'accepted_at', 'UPDATE') AS "UPDATE (accepted_at)",
  has_column_privilege($1::text, 'problem', 'UPDATE') AS "UPDATE (problem)"`;

const BEGIN = (statementTimeoutMs: number, silenceMs: number): string =>
  `BEGIN; SET LOCAL statement_timeout = ${statementTimeoutMs}; SET LOCAL idle_in_transaction_session_timeout = ${silenceMs}`;

/** One transaction holds it until its end; therefore it also works behind PgBouncer. */
const TRY_TURN = `SELECT pg_try_advisory_xact_lock(hashtextextended('audience-triggers', $1::text::regclass::oid::bigint)) AS mine`;

const SELECT = (table: string): string => `SELECT id::text AS id, left(audience::text, 300) AS audience,
  left(user_id::text, 300) AS "user", event::text AS event,
  to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || lpad((id % 1000)::text, 3, '0') || 'Z' AS at,
  extract(epoch FROM changed_at)::text AS changed_at_s,
  octet_length(profile::text) > $2 AS too_large,
  CASE WHEN octet_length(profile::text) <= $2 THEN profile::text END AS profile
FROM ${quotedTable(table)} AS outbox WHERE accepted_at IS NULL AND problem IS NULL ORDER BY outbox.id LIMIT $1`;

const DONE = {
  delete: (table: string): string => `DELETE FROM ${quotedTable(table)} WHERE id = ANY($1::bigint[])`,
  mark: (table: string): string =>
    `UPDATE ${quotedTable(table)} SET accepted_at = clock_timestamp() WHERE id = ANY($1::bigint[])`,
};

const SET_ASIDE = (table: string): string => `UPDATE ${quotedTable(table)} SET problem = $2 WHERE id = $1::bigint`;

function rowOf(row: Record<string, unknown>): OutboxRow {
  const text = (name: string): string | null => {
    const value = row[name];
    return typeof value === 'string' ? value : null;
  };
  return {
    id: text('id') ?? '',
    audience: text('audience'),
    user: text('user'),
    event: text('event'),
    at: text('at'),
    profile: text('profile'),
    isTooLarge: row['too_large'] === true,
    changedAtS: Number(text('changed_at_s')),
  };
}
