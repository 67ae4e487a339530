import { z } from 'zod';
import { readPostgresUrl } from '../postgres/connection.ts';
import { areCertificates } from '../webhook/tls.ts';
import { requestHeaders } from './authorization-config.ts';
import {
  lagMs,
  maxProfileAgeMs,
  milliseconds,
  millisecondsOrNone,
  serviceToken,
  serviceUrl,
  throughProxy,
  timeoutMs,
} from './service-config.ts';

/** A Lytics account (docs/sources/lytics.md). */
export const lyticsSource = z.strictObject({
  kind: z.literal('lytics'),
  /** An API token; sent unchanged in the header `authorization`. */
  token: serviceToken,
  /** The identity field whose value is a person's id in triggers and messages: `_uid`, `user_id` … */
  userField: z
    .string()
    .regex(/^\w{1,100}$/, 'The name of a Lytics field must consist of letters, digits and underscores: _uid.'),
  url: serviceUrl.default('https://api.lytics.io'),
  /** Custom fields of the account whose strings are numbers, or whose objects contain such strings. */
  numberFields: z.array(z.string().min(1)).default([]),
  /** Rows per request of a scan. */
  pageSize: z.number().int().min(1).max(100).default(100),
  /** Most look-ups of profiles in flight for one slice. */
  parallelLookUps: z.number().int().min(1).max(64).default(8),
  /** How old, in ms, a profile from a scan or a look-up may be before it is fetched again. */
  maxProfileAgeMs: maxProfileAgeMs.default(120_000),
  lagMs: lagMs.default(300_000),
  timeoutMs,
  throughProxy,
});

export type LyticsSourceConfig = Readonly<z.infer<typeof lyticsSource>>;

// No message in this file may repeat a URL or a password.

/** A table's name, optionally with its schema; a part that contains a dot is in quotes, as in PostgreSQL. */
const TABLE = /^(?:"(?:[^"\0]|"")+"|[^."\0]+)(?:\.(?:"(?:[^"\0]|"")+"|[^."\0]+))?$/;

export const table = z.string().regex(TABLE, 'A table must be named as in the database: people, or crm.people.');
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

export const postgresUrl = z.string().superRefine((text, context) => {
  const reading = readPostgresUrl(text);
  if (!reading.ok) context.addIssue({ code: 'custom', message: reading.problem });
});

/** Authorities that are trusted for a server's certificate, in addition to Node's: PEM. With them, TLS is used even if a URL does not ask for it. */
export const certificateAuthorities = z
  .array(
    z.string().refine(areCertificates, {
      error: 'A certificate authority must be one or more certificates as PEM: -----BEGIN CERTIFICATE----- …',
    }),
  )
  .default([]);

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
export type PostgresSourceInput = Readonly<z.input<typeof postgresSource>>;

/** Names with dots between them: `paging.next`. */
const path = z.string().regex(/^[^.]+(\.[^.]+)*$/, 'A path consists of names with dots between them: paging.next.');

/** A path that is appended to the source's `url`, with placeholders: `/people/{user}`. */
function template(allowed: readonly string[], required: readonly string[] = []) {
  const names = (list: readonly string[]): string => list.map((name) => `{${name}}`).join(', ') || 'none';
  return z.string().superRefine((text, context) => {
    const problem = (message: string): void => context.addIssue({ code: 'custom', message });
    const found = [...text.matchAll(/\{([^{}]*)\}/g)].map(([, name = '']) => name);
    if (!/^\/[\x21-\x7e]*$/.test(text) || text.includes('#'))
      problem(
        'It must be a path that begins with a slash, to be appended to "url", without blanks and "#": /people/{user}.',
      );
    if (/[{}]/.test(text.replaceAll(/\{[^{}]*\}/g, ''))) problem('A brace must belong to a placeholder: {user}.');
    if (found.some((name) => !allowed.includes(name)))
      problem(`It has an unknown placeholder. Known here: ${names(allowed)}.`);
    if (!required.every((name) => found.includes(name))) problem(`It must contain ${names(required)}.`);
  });
}

/** How one page leads to the next. With neither `next` nor `nextLink` there is only one page. */
const paging = {
  /** Path to the value for `{cursor}`, or, if `url` has no `{cursor}`, to the URL of the next page. Missing, null or empty on the last page. */
  next: path.optional(),
  /** The URL of the next page is in the header `link`, with `rel="next"` (RFC 8288). */
  nextLink: z.boolean().default(false),
  /** Most rows that the service returns at once; `{limit}` is never larger. */
  maxLimit: z.number().int().min(1).max(100_000).default(1000),
};

interface Paged {
  readonly url: string;
  readonly next?: string | undefined;
  readonly nextLink: boolean;
}

function mustLeadOn({ url, next, nextLink }: Paged, context: z.RefinementCtx): void {
  const problem = (message: string): void => context.addIssue({ code: 'custom', path: ['next'], message });
  if (next !== undefined && nextLink) problem('Give either "next" or "nextLink", not both.');
  if (next === undefined && url.includes('{cursor}')) problem('"next" must say where {cursor} comes from.');
}

const AUDIENCE_FIELDS = { slug: path.optional(), name: path.optional(), size: path.optional() };

/** Where to find the service's list of audiences, and their parts in it. */
const audienceList = z
  .strictObject({
    url: template(['cursor', 'limit']),
    /** Path to the rows; without it, the whole answer is the list. */
    items: path.optional(),
    id: path,
    ...AUDIENCE_FIELDS,
    windowMinutes: path.optional(),
    ...paging,
  })
  .superRefine(mustLeadOn);

/** The audiences of a service that cannot list them. */
const ownAudiences = z
  .array(
    z.strictObject({
      /** The service's own id of the audience. */
      id: z.string().min(1),
      slug: z.string().min(1).optional(),
      name: z.string().min(1).optional(),
      windowMinutes: z.number().positive().optional(),
    }),
  )
  .min(1);

const members = z
  .strictObject({
    url: template(['audience', 'cursor', 'limit'], ['audience']),
    items: path.optional(),
    /** Path to a person's id in a row; without it, the row itself is the id. */
    id: path.optional(),
    ...paging,
  })
  .superRefine(mustLeadOn);

/** Asks whether one person is a member: 2xx means yes, 404 means no. */
const member = z.strictObject({
  url: template(['audience', 'user'], ['audience', 'user']),
  /** Path to true or false, if the status alone does not tell. */
  value: path.optional(),
});

const httpProfiles = z
  .strictObject({
    /** `{user}`: one person per request, and 404 means that there is no such person. `{users}`: several, separated by commas. */
    url: template(['user', 'users']),
    /** Sent by POST as JSON; every string in it that is exactly `"{users}"` is replaced by the list of ids. */
    body: z.json().optional(),
    items: path.optional(),
    /** Path to a person's id in a row. */
    id: path.optional(),
    /** Path to the profile in a row, or in the answer for one person; without it, the whole row or answer is the profile. */
    profile: path.optional(),
    /** Most people in one request. */
    maxUsers: z.number().int().min(1).max(1000).default(100),
    /** Most requests in flight for one slice. */
    parallelLookUps: z.number().int().min(1).max(64).default(8),
  })
  .superRefine(({ url, body, items, id }, context) => {
    const problem = (message: string): void => context.addIssue({ code: 'custom', message });
    const places = [url.includes('{user}'), url.includes('{users}'), hasUsers(body)].filter((isThere) => isThere);
    if (places.length !== 1)
      problem(
        'It must have exactly one place for the people who are asked for: {user} or {users} in "url", or "{users}" in "body".',
      );
    if (url.includes('{user}') && (items !== undefined || id !== undefined || body !== undefined))
      problem('With {user}, the answer is one person: leave out "items", "id" and "body".');
    if (!url.includes('{user}') && id === undefined) problem('"id" must say where the person\'s id is in a row.');
  });

/** Any service that answers with pages of JSON (docs/sources/http.md). */
export const httpSource = z.strictObject({
  kind: z.literal('http'),
  /** Every `url` below is appended to it. */
  url: serviceUrl,
  /** Sent with every request. */
  headers: requestHeaders.default({}),
  audiences: z.union([ownAudiences, audienceList], {
    error: '"audiences" must be a list of {"id": …}, or say where to find one: {"url": …, "id": …}.',
  }),
  members,
  member: member.optional(),
  profiles: httpProfiles.optional(),
  /** How old, in ms, a profile may be before it is fetched again. */
  maxProfileAgeMs: maxProfileAgeMs.default(60_000),
  lagMs: lagMs.default(60_000),
  timeoutMs,
  throughProxy,
});

export type HttpSourceConfig = Readonly<z.infer<typeof httpSource>>;
export type HttpProfiles = Readonly<z.infer<typeof httpProfiles>>;

function hasUsers(body: unknown): boolean {
  if (typeof body === 'object' && body !== null) return Object.values(body).some(hasUsers);
  return body === '{users}';
}

/**
 * Begins like a URL, after marks that env files leave around a value. A scheme has two letters or more, since `C:/` is a folder. One with `:/` alone was
 * misspelt, and may have a password all the same.
 */
const BEGINS_AS_URL = /^[\s"'`]*[a-z][a-z\d+.-]+:\//i;

/** A folder as it is written. No message repeats it: a text that looks like a URL may hold a password. */
export function folder(advice = ''): z.ZodString {
  const error = 'A folder must be named: "." is that of the configuration file.';
  return z
    .string()
    .min(1, { error, abort: true })
    .regex(/\S/, { error, abort: true })
    .refine((text) => !BEGINS_AS_URL.test(text), { error: `This looks like a URL, not a folder.${advice}` });
}

/** Whether a text can be meant as a folder: a path made from any other text would be misleading, or show a password. */
export function isFolder(text: string): boolean {
  return folder().safeParse(text).success;
}

/** A folder of files (docs/sources/file.md). */
export const fileSource = z.strictObject({
  kind: z.literal('file'),
  /** A folder of NDJSON files. */
  folder: folder(
    ' A PostgreSQL database is written postgres://… in TRIGGERS_SOURCE, without blanks or quotes around it, or as the "url" of a source of the kind "postgres".',
  ),
  /** How long, in ms, a file must not have changed before it counts as written to its end; 0: files are only ever replaced by finished ones. */
  quietMs: millisecondsOrNone(600_000).optional(),
  /** How late, in ms, the files may show that somebody has left. Default: 0. */
  lagMs: lagMs.optional(),
});

/** Where audiences, members and profiles come from: one kind of source. */
export const sourceSchema = z.discriminatedUnion('kind', [fileSource, postgresSource, lyticsSource, httpSource]);

export type SourceConfig = z.infer<typeof sourceSchema>;

/** Names the source for people, without secrets. */
export function shownSource(source: SourceConfig): string {
  switch (source.kind) {
    case 'file':
      return source.folder;
    case 'postgres': {
      const reading = readPostgresUrl(source.url);
      return `PostgreSQL, ${reading.ok ? reading.address.shown : 'its URL is wrong'}`;
    }
    case 'lytics':
      return `Lytics, ${new URL(source.url).origin}`;
    case 'http':
      return new URL(source.url).origin;
  }
}
