import type { PostgresSourceConfig } from './config.ts';
import { SourceError } from '../../activities/audience-source.ts';
import { quoted, quotedTable } from '../../postgres/identifier.ts';
import type { PostgresPool, PostgresSession } from './pool.ts';

/** The type by which a database compares people's ids; it decides which ids the database can hold. */
export interface UserType {
  /** Whether a value of this type is written exactly like this. Other ids belong to nobody, and would make a query fail. */
  holds(user: string): boolean;
}

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const DECIMAL = /^-?(?:0|[1-9]\d{0,999})(?:\.\d{1,999})?$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const TYPES: ReadonlyMap<string, UserType> = new Map([
  ['smallint', { holds: (user) => isWithin(user, 2n ** 15n) }],
  ['integer', { holds: (user) => isWithin(user, 2n ** 31n) }],
  ['bigint', { holds: (user) => isWithin(user, 2n ** 63n) }],
  ['numeric', { holds: (user) => DECIMAL.test(user) }],
  ['uuid', { holds: (user) => UUID.test(user) }],
  ...['text', 'character varying', 'character', 'citext'].map((name) => [name, { holds: isText }] as const),
]);

/** @param name as PostgreSQL writes it; undefined for a type that ids cannot have. */
function userTypeOf(name: string): UserType | undefined {
  return TYPES.get(name);
}

function isWithin(user: string, bound: bigint): boolean {
  if (!INTEGER.test(user)) return false;
  const value = BigInt(user);
  return value >= -bound && value < bound;
}

/** UTF-8 has no lone surrogates, and PostgreSQL no NUL. */
function isText(user: string): boolean {
  return user.isWellFormed() && !user.includes('\0');
}

/** A query, and what it is about, for messages. */
export interface PostgresQuery {
  readonly text: string;
  readonly what: string;
}

/** All queries of a source. Whether tables or queries are configured, paging and selecting are done by us. */
export interface PostgresQueries {
  /** `id`, `slug`, `name`, perhaps `window_minutes` and `size`. */
  readonly audiences: PostgresQuery;
  /** `id` and `size` of all audiences that have members; absent when sizes can come only from the audiences' query. */
  readonly sizes?: PostgresQuery;
  /** $1 audience, $2 most rows. Gives `user`, by key. */
  readonly firstMembers: PostgresQuery;
  /** The same, after the user $3. */
  readonly nextMembers: PostgresQuery;
  /** $1 audience, $2 user. Gives `user` of those that are equal to it by their type's rules. */
  readonly isMember: PostgresQuery;
  /** $1 audience, $2 users, an array. Gives `user` of those that are equal to one of them. */
  readonly membersAmong: PostgresQuery;
  /** $1 users, an array. Gives `user` and `profile`. */
  readonly profiles: PostgresQuery;
}

/** The parts that the others are made from: each the beginning of a SELECT. */
interface Selects {
  readonly audiences: PostgresQuery;
  readonly sizes?: PostgresQuery;
  readonly members: PostgresQuery;
  readonly profiles: PostgresQuery;
}

export function queriesOf(config: PostgresSourceConfig): PostgresQueries {
  const { audiences, sizes, members, profiles } = config.queries ? configuredSelects(config.queries) : ofTables(config);
  // Line breaks, since a configured query may end with a comment.
  const from = (select: PostgresQuery, alias: string) => `FROM (\n${select.text}\n) AS ${alias}`;
  const query = ({ what }: PostgresQuery, text: string): PostgresQuery => ({ what, text });
  // The planner sees through such a query, so added conditions can use the index. Order and comparison are the column's own.
  const page = (where: string) => `SELECT m."user" ${from(members, 'm')} WHERE ${where} ORDER BY m."user" LIMIT $2`;
  return {
    audiences: query(audiences, `SELECT a.* ${from(audiences, 'a')}`),
    ...(sizes === undefined ? {} : { sizes }),
    firstMembers: query(members, page('m."user" IS NOT NULL')),
    nextMembers: query(members, page('m."user" > $3')),
    isMember: query(members, `SELECT m."user" ${from(members, 'm')} WHERE m."user" = $2`),
    membersAmong: query(members, `SELECT m."user" ${from(members, 'm')} WHERE m."user" = ANY($2)`),
    profiles: query(profiles, `SELECT p."user", p.profile ${from(profiles, 'p')} WHERE p."user" = ANY($1)`),
  };
}

function configuredSelects({ audiences, members, profiles }: NonNullable<PostgresSourceConfig['queries']>): Selects {
  return {
    audiences: { text: audiences, what: 'the audiences (queries.audiences)' },
    members: { text: members, what: 'the members (queries.members)' },
    profiles: { text: profiles, what: 'the profiles (queries.profiles)' },
  };
}

// The defaults, for parts that the configuration does not name.
const PROFILES = { table: 'profiles', user: 'user_id' };
const PROFILE_COLUMN = 'profile';
const MEMBERSHIPS = { table: 'audience_members', audience: 'audience_id', user: 'user_id' };
const AUDIENCES = { table: 'audiences', id: 'id', slug: 'slug', name: 'name' };

function ofTables(config: PostgresSourceConfig): Selects {
  const memberships = config.memberships ?? MEMBERSHIPS;
  const audience = quoted(memberships.audience);
  const user = quoted(memberships.user);
  const table = quotedTable(memberships.table);
  const what = `(${memberships.table})`;
  return {
    audiences: config.audiences === null ? audiencesOfMembers(table, audience, what) : audiencesOf(config.audiences),
    sizes: {
      text: `SELECT ${audience} AS id, count(${user}) AS size FROM ${table} GROUP BY ${audience}`,
      what: `the sizes of audiences ${what}`,
    },
    members: {
      text: `SELECT ${user} AS "user" FROM ${table} WHERE ${audience} = $1`,
      what: `the members ${what}`,
    },
    profiles: profilesOf(config.profiles ?? PROFILES),
  };
}

function audiencesOf(audiences: PostgresSourceConfig['audiences']): PostgresQuery {
  const { table, id, slug, name, windowMinutes }: NonNullable<typeof audiences> = audiences ?? AUDIENCES;
  const window = windowMinutes === undefined ? '' : `, ${quoted(windowMinutes)} AS window_minutes`;
  return {
    text: `SELECT ${quoted(id)} AS id, ${quoted(slug)} AS slug, ${quoted(name)} AS name${window} FROM ${quotedTable(table)}`,
    what: `the audiences (${table})`,
  };
}

/** The audiences that occur in the memberships, found one after another through the index: DISTINCT would read all memberships. */
function audiencesOfMembers(table: string, audience: string, what: string): PostgresQuery {
  return {
    text: `WITH RECURSIVE found AS (
  (SELECT m.${audience} AS id FROM ${table} AS m ORDER BY 1 LIMIT 1)
  UNION ALL
  SELECT (SELECT m.${audience} FROM ${table} AS m WHERE m.${audience} > found.id ORDER BY 1 LIMIT 1)
  FROM found WHERE found.id IS NOT NULL
)
SELECT id, id AS slug, id AS name FROM found WHERE id IS NOT NULL`,
    what: `the audiences ${what}`,
  };
}

function profilesOf(profiles: NonNullable<PostgresSourceConfig['profiles']>): PostgresQuery {
  const { table, user, profile, columns } = profiles;
  return {
    text: `SELECT p.${quoted(user)} AS "user", ${fieldsOf({ user, profile, columns })} AS profile FROM ${quotedTable(table)} AS p`,
    what: `the profiles (${table})`,
  };
}

/** As JSON that the server makes, so that every number keeps its digits. */
function fieldsOf({ user, profile, columns }: Pick<PostgresProfiles, 'user' | 'profile' | 'columns'>): string {
  if (columns === undefined) return `p.${quoted(profile ?? PROFILE_COLUMN)}`;
  if (columns === 'all') return `to_jsonb(p) - ${literal(user)}`;
  const chosen = columns.map((name) => `p.${quoted(name)}`).join(', ');
  return `(SELECT to_json(fields) FROM (SELECT ${chosen}) AS fields)`;
}

type PostgresProfiles = NonNullable<PostgresSourceConfig['profiles']>;

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'::text`;
}

/** The types of people's ids, which a check of the queries finds out. */
export interface CheckedQueries {
  readonly memberType: UserType;
  readonly profileType: UserType;
}

const PREPARED = 'audience_triggers_check';
const AUDIENCE_COLUMNS = ['id', 'slug', 'name'];

/**
 * Has the server check all queries, without reading a row: names, types and grants.
 *
 * @throws PostgresError when it does not answer, or refuses one of them.
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
    await runForNothing(session, queries.membersAmong, 2);
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
