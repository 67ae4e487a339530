import { SourceError } from '../source-error.ts';
import type { PostgresPool, PostgresSession } from './postgres-pool.ts';
import type { PostgresQueries, PostgresQuery } from './postgres-queries.ts';
import { type UserType, userTypeOf } from './user-type.ts';

/** What is known about people's ids once the queries have been checked. */
export interface CheckedQueries {
  readonly memberType: UserType;
  readonly profileType: UserType;
}

const PREPARED = 'audience_triggers_check';
const AUDIENCE_COLUMNS = ['id', 'slug', 'name'];

/**
 * Has the server check all queries, without reading a row: names, types and grants.
 *
 * @throws PostgresError when it does not answer, or will not have one of them.
 * @throws SourceError when one is not what a source needs.
 */
export async function checkQueries(pool: PostgresPool, queries: PostgresQueries): Promise<CheckedQueries> {
  return await pool.transaction(async (session) => {
    const { columns } = await runForNothing(session, queries.audiences, 0);
    const missing = AUDIENCE_COLUMNS.filter((name) => !columns.includes(name));
    if (missing.length > 0)
      throw new SourceError(
        `The query for ${queries.audiences.what} has no column ${missing.join(', ')}. It must give id, slug and name.`,
      );
    const [, , member = ''] = await parameterTypes(session, queries.nextMembers);
    const [users = ''] = await parameterTypes(session, queries.profiles);
    await runForNothing(session, queries.nextMembers, 3);
    await runForNothing(session, queries.profiles, 1);
    return {
      memberType: typeOf(member, queries.nextMembers),
      profileType: typeOf(users.replace(/\[\]$/, ''), queries.profiles),
    };
  }, 'its tables');
}

function typeOf(name: string, { what }: PostgresQuery): UserType {
  const type = userTypeOf(name);
  if (type !== undefined) return type;
  throw new SourceError(
    `In ${what}, people's ids are of the type ${name || 'unknown'}. They must be text, whole numbers, numeric or uuid: use a view or a query that casts them.`,
  );
}

/** The types that the server gives to $1, $2 … */
async function parameterTypes(session: PostgresSession, { text, what }: PostgresQuery): Promise<string[]> {
  await session.query(`PREPARE ${PREPARED} AS ${text}`, [], what);
  const { rows } = await session.query(
    'SELECT to_json(parameter_types::text[]) AS types FROM pg_prepared_statements WHERE name = $1',
    [PREPARED],
    what,
  );
  await session.query(`DEALLOCATE ${PREPARED}`, [], what);
  const types: unknown = JSON.parse(rows[0]?.['types'] ?? '[]');
  return Array.isArray(types) ? types.map(String) : [];
}

async function runForNothing(session: PostgresSession, { text, what }: PostgresQuery, parameters: number) {
  const values = Array.from({ length: parameters }, () => null);
  return await session.query(`SELECT * FROM (\n${text}\n) AS checked LIMIT 0`, values, what);
}
