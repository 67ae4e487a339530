import { z } from 'zod';
import { readPostgresUrl } from '../sources/postgres/postgres-url.ts';
import { areCertificates } from '../webhook/certificate-authorities.ts';

// No message in this file may repeat a URL or a password.

/** A table's name, optionally with its schema; a part that contains a dot is in quotes, as in PostgreSQL. */
const TABLE = /^(?:"(?:[^"\0]|"")+"|[^."\0]+)(?:\.(?:"(?:[^"\0]|"")+"|[^."\0]+))?$/;

const table = z.string().regex(TABLE, 'A table must be named as in the database: people, or crm.people.');
const column = z.string().regex(/^[^\0]+$/, 'The name of a column must not be empty.');
const query = z
  .string()
  // A semicolon at its end would break the statement that it is embedded in.
  .transform((text) => text.trim().replace(/;+$/, ''))
  .refine((text) => text !== '', { error: 'A query must be a SELECT.' });

/** Tables may also be views, with or without a schema. Names are case-sensitive. */
const profiles = z
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

const audiences = z.strictObject({
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
    url: z.string().superRefine((text, context) => {
      const reading = readPostgresUrl(text);
      if (!reading.ok) context.addIssue({ code: 'custom', message: reading.problem });
    }),
    /** Replaces the one in the URL, and needs no escaping. */
    password: z.string().min(1).optional(),
    /** Authorities that are trusted for the server's certificate, in addition to Node's: PEM. With them, TLS is used whatever the URL says. */
    certificateAuthorities: z
      .array(
        z.string().refine(areCertificates, {
          error: 'A certificate authority must be one or more certificates as PEM: -----BEGIN CERTIFICATE----- …',
        }),
      )
      .default([]),
    profiles: profiles.optional(),
    memberships: memberships.optional(),
    /** Null: there is no such table, and the audiences are those that have members. */
    audiences: audiences.nullable().optional(),
    queries: queries.optional(),
    /** Most connections of one worker. */
    poolSize: z.number().int().min(1).max(200).default(10),
    /** Longest wait for a connection, whether a new or a free one. */
    connectTimeoutMs: z.number().int().min(100).max(60_000).default(5_000),
    /** Longest time for one query. */
    statementTimeoutMs: z.number().int().min(100).max(50_000).default(10_000),
    /** How late the database may show that somebody has left: the delay of a replica, or the age of a materialized view. */
    lagMs: z.number().int().min(0).max(86_400_000).default(0),
  })
  .refine(
    ({ queries, ...tables }) => {
      const isNamed = [tables.profiles, tables.memberships, tables.audiences].some((one) => one !== undefined);
      return queries === undefined || !isNamed;
    },
    { error: 'Name either tables (profiles, memberships, audiences) or queries, not both.' },
  );

export type PostgresSourceConfig = Readonly<z.infer<typeof postgresSource>>;
export type PostgresSourceInput = Readonly<z.input<typeof postgresSource>>;
