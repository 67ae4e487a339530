import { z } from 'zod';
import { readPostgresUrl } from '../../postgres/connection.ts';
import { table, postgresUrl, certificateAuthorities, milliseconds, lagMs } from '../../config/values.ts';

const column = z.string().regex(/^[^\0]+$/, 'The name of a column must not be empty.');

const query = z
  .string()
  // A semicolon at its end would break the statement around it.
  .transform((text) => text.trim().replace(/;+$/, ''))
  .refine((text) => text !== '', { error: 'A query must be a SELECT.' });

/** Tables may also be views, with or without a schema. Names are case-sensitive. */
const postgresProfiles = z
  .strictObject({
    table: table.default('profiles'),
    user: column.default('user_id'),
    /** A column of type `jsonb` or `json`. */
    profile: column.optional(),
    /** Instead of `profile`: columns that become the fields of a profile, `all` except the user's, or the ones listed. */
    columns: z.union([z.literal('all'), z.array(column).min(1)]).optional(),
  })
  .refine(({ profile, columns }) => profile === undefined || columns === undefined, {
    error: 'A profile must be one column (profile) or several (columns), not both.',
  });

const memberships = z.strictObject({
  table: table.default('audience_members'),
  audience: column.default('audience_id'),
  user: column.default('user_id'),
});

const postgresAudiences = z.strictObject({
  table: table.default('audiences'),
  id: column.default('id'),
  slug: column.default('slug'),
  name: column.default('name'),
  windowMinutes: column.optional(),
});

/** Instead of tables and columns (docs/sources/postgres.md). */
const queries = z.strictObject({
  /** Returns `id`, `slug`, `name`, and optionally `window_minutes` and `size`. */
  audiences: query,
  /** Returns `user` for every member of the audience `$1`. Paging is added to it. */
  members: query,
  /** Returns `user` and `profile` for everybody. A condition that selects people is added to it. */
  profiles: query,
});

/** A PostgreSQL database. */
export const postgresSource = z
  .strictObject({
    kind: z.literal('postgres'),
    url: postgresUrl,
    /** Replaces the one in the URL, and needs no escaping. */
    password: z.string().min(1).optional(),
    certificateAuthorities,
    profiles: postgresProfiles.optional(),
    memberships: memberships.optional(),
    /** Null: there is no such table, and the audiences are those that have members. */
    audiences: postgresAudiences.nullable().optional(),
    queries: queries.optional(),
    /** Most connections of one worker. */
    poolSize: z.number().int().min(1).max(200).default(10),
    /** Longest wait for a connection, whether a new or a free one. */
    connectTimeoutMs: milliseconds(60_000).default(5_000),
    /** Longest time for one query. */
    statementTimeoutMs: milliseconds(50_000).default(10_000),
    /** How late the database may show that somebody has left: the delay of a replica, or the age of a materialized view. */
    lagMs: lagMs.default(0),
  })
  .refine(
    ({ queries, ...tables }) => {
      const isNamed = [tables.profiles, tables.memberships, tables.audiences].some((one) => one !== undefined);
      return queries === undefined || !isNamed;
    },
    { error: 'Name either tables (profiles, memberships, audiences) or queries, not both.' },
  );

export type PostgresSourceConfig = Readonly<z.infer<typeof postgresSource>>;

/** Names the source for people, without secrets. */
export function shownPostgres({ url }: PostgresSourceConfig): string {
  const reading = readPostgresUrl(url);
  return `PostgreSQL, ${reading.ok ? reading.address.shown : 'its URL is wrong'}`;
}

export type PostgresSourceInput = Readonly<z.input<typeof postgresSource>>;
