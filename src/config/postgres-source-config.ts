import { z } from 'zod';
import { readPostgresUrl } from '../sources/postgres/postgres-url.ts';
import { areCertificates } from '../webhook/certificate-authorities.ts';

// No message in here may repeat a URL or a password.

/** One part of a table's name, in quotes as PostgreSQL writes them when it holds a dot. */
const TABLE = /^(?:"(?:[^"\0]|"")+"|[^."\0]+)(?:\.(?:"(?:[^"\0]|"")+"|[^."\0]+))?$/;

const table = z.string().regex(TABLE, 'A table is named like it is in the database: people, or crm.people.');
const column = z.string().regex(/^[^\0]+$/, 'A column has a name.');
const query = z
  .string()
  // It becomes part of ours.
  .transform((text) => text.trim().replace(/;+$/, ''))
  .refine((text) => text !== '', { error: 'A query is a SELECT.' });

/** A table or view, whether in a schema or in the search path. Names are taken as they are spelt, capitals too. */
const profiles = z
  .strictObject({
    table: table.default('profiles'),
    user: column.default('user_id'),
    /** A column of type `jsonb` or `json`. */
    profile: column.optional(),
    /** Instead: columns that are the fields of a profile, `all` but the one of the user, or these. */
    columns: z.union([z.literal('all'), z.array(column).min(1)]).optional(),
  })
  .refine(({ profile, columns }) => profile === undefined || columns === undefined, {
    error: 'A profile is one column (profile) or several (columns), not both.',
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
  /** Gives `id`, `slug`, `name`, and perhaps `window_minutes` and `size`. */
  audiences: query,
  /** Gives `user` for every member of the audience `$1`. Paging is added to it. */
  members: query,
  /** Gives `user` and `profile` for everybody. A choice is added to it. */
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
    /** Over the one in the URL, and not escaped as one there. */
    password: z.string().min(1).optional(),
    /** Authorities of the server's certificate beside the system's: PEM. With them, TLS is used whatever the URL says. */
    certificateAuthorities: z
      .array(
        z.string().refine(areCertificates, {
          error: 'A certificate authority is one certificate or more as PEM: -----BEGIN CERTIFICATE----- …',
        }),
      )
      .default([]),
    profiles: profiles.optional(),
    memberships: memberships.optional(),
    /** Null: there is no such table; the audiences are those that have members. */
    audiences: audiences.nullable().optional(),
    queries: queries.optional(),
    /** Most connections of one worker. */
    poolSize: z.number().int().min(1).max(200).default(10),
    /** Longest wait for a connection, be it a new one or a free one. */
    connectTimeoutMs: z.number().int().min(100).max(60_000).default(5_000),
    /** Longest time for one query. */
    statementTimeoutMs: z.number().int().min(100).max(50_000).default(10_000),
    /** How late the database may show that somebody left: a replica's delay, or a materialized view's age. */
    lagMs: z.number().int().min(0).max(86_400_000).default(0),
  })
  .refine(
    ({ queries, ...tables }) => {
      const isNamed = [tables.profiles, tables.memberships, tables.audiences].some((one) => one !== undefined);
      return queries === undefined || !isNamed;
    },
    { error: 'Either tables are named (profiles, memberships, audiences), or queries are given, not both.' },
  );

export type PostgresSourceConfig = Readonly<z.infer<typeof postgresSource>>;
export type PostgresSourceInput = Readonly<z.input<typeof postgresSource>>;
