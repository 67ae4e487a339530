import { Pool } from 'pg';
import { codeOf } from '../../domain/errors.ts';
import { postgresWords } from '../../postgres/connection.ts';
import { DeliveryLogError } from './log-error.ts';
import { type Dialect, type LogSql, raw, secondsOf, type Sql, sql } from './log-sql.ts';
import { ASKED, type LogDatabase, logConnection } from './postgres-database.ts';

const CONNECTIONS = 4;
/** SQLSTATE of a table that is not there: no worker has written yet. */
const NO_TABLE = '42P01';
// With PostgreSQL's own 4 MB, a count over some weeks sorts all its rows, and takes twice as long.
const READ_ONLY = { options: '-c default_transaction_read_only=on -c work_mem=32MB' };
const AS_TEXT = { getTypeParser: () => (text: string | null) => text };

export const POSTGRES: Dialect = {
  types: { time: 'timestamptz', id: 'text COLLATE "C"' },
  timeText: (column) => raw(`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`),
  minuteBefore: (column) => raw(`${column} - interval '1 minute'`),
  instantOf: (column) => [
    raw(`extract(epoch FROM (${secondsOf(column)})::timestamptz)`),
    raw(`('0' || coalesce(substring(${column} from '[.][0-9]+'), ''))::numeric`),
  ],
  elementsOf: (json) => sql`json_array_elements(${json}::json) AS one (value)`,
};

/** The statement with places as PostgreSQL names them. */
export function numbered({ text, values }: Sql): { text: string; values: unknown[] } {
  let places = 0;
  return { text: text.replaceAll('?', () => `$${++places}`), values: [...values] };
}

/** The delivery log in PostgreSQL, as it is read; with `mayWrite`, also to change it. Does not connect yet. */
export function postgresSql(database: LogDatabase, mayWrite = false): LogSql {
  const { settings, shown } = logConnection(database);
  const pool = new Pool({ ...settings, max: CONNECTIONS, ...(mayWrite ? {} : READ_ONLY) });
  // A connection that ends while unused does not matter, but without a listener it would end the process.
  pool.on('error', () => undefined);
  return {
    ...POSTGRES,
    query: async (query) => {
      try {
        return (await pool.query({ ...numbered(query), types: AS_TEXT })).rows;
      } catch (error) {
        if (codeOf(error) === NO_TABLE) return [];
        throw new DeliveryLogError(mayWrite ? 'written' : 'read', `PostgreSQL, ${shown}`, postgresWords(error), error);
      }
    },
    // A replica refuses that. Writers say it every 10 s in any case.
    ask: async () => void (await pool.query(`NOTIFY ${ASKED}`).catch(() => undefined)),
    close: async () => await pool.end(),
  };
}
