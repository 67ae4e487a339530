import { z } from 'zod';
import { requestHeaders } from './authorization-config.ts';
import { lagMs, serviceUrl, throughProxy, timeoutMs } from './service-config.ts';

/** Names with dots between them: `paging.next`. */
const path = z.string().regex(/^[^.]+(\.[^.]+)*$/, 'A path is names with dots between them: paging.next.');

/** A path behind the source's `url`, with placeholders: `/people/{user}`. */
function template(allowed: readonly string[], required: readonly string[] = []) {
  const names = (list: readonly string[]): string => list.map((name) => `{${name}}`).join(', ') || 'none';
  return z.string().superRefine((text, context) => {
    const problem = (message: string): void => context.addIssue({ code: 'custom', message });
    const found = [...text.matchAll(/\{([^{}]*)\}/g)].map(([, name = '']) => name);
    if (!/^\/[\x21-\x7e]*$/.test(text) || text.includes('#'))
      problem('It begins with a slash, as a path behind "url", and has neither blanks nor "#": /people/{user}.');
    if (/[{}]/.test(text.replaceAll(/\{[^{}]*\}/g, ''))) problem('A brace belongs to a placeholder: {user}.');
    if (found.some((name) => !allowed.includes(name)))
      problem(`A placeholder is not known here. Known are: ${names(allowed)}.`);
    if (!required.every((name) => found.includes(name))) problem(`It has to say ${names(required)}.`);
  });
}

/** How one page leads to the next. Without either, there is one page. */
const paging = {
  /** Path to what leads on: with `{cursor}` in `url` that, without it the URL of the next page. Missing, null or empty at the end. */
  next: path.optional(),
  /** The next page is in the header `link`, with `rel="next"` (RFC 8288). */
  nextLink: z.boolean().default(false),
  /** Most rows that the service gives at once; `{limit}` is never more. */
  maxLimit: z.number().int().min(1).max(100_000).default(1000),
};

interface Paged {
  readonly url: string;
  readonly next?: string | undefined;
  readonly nextLink: boolean;
}

function mustLeadOn({ url, next, nextLink }: Paged, context: z.RefinementCtx): void {
  const problem = (message: string): void => context.addIssue({ code: 'custom', path: ['next'], message });
  if (next !== undefined && nextLink) problem('Either "next" or "nextLink" leads on, not both.');
  if (next === undefined && url.includes('{cursor}')) problem('"next" has to say where {cursor} comes from.');
}

const AUDIENCE_FIELDS = { slug: path.optional(), name: path.optional(), size: path.optional() };

/** Audiences as the service lists them, by where their parts stand. */
const audienceList = z
  .strictObject({
    url: template(['cursor', 'limit']),
    /** Path to the rows; without it, the answer is the list. */
    items: path.optional(),
    id: path,
    ...AUDIENCE_FIELDS,
    windowMinutes: path.optional(),
    ...paging,
  })
  .superRefine(mustLeadOn);

/** Audiences of a service that lists none. */
const audiences = z
  .array(
    z.strictObject({
      /** As the service knows it. */
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
    /** Path to a person's id in a row; without it, the row is the id. */
    id: path.optional(),
    ...paging,
  })
  .superRefine(mustLeadOn);

/** Says of one person whether they are a member: 2xx is yes, 404 no. */
const member = z.strictObject({
  url: template(['audience', 'user'], ['audience', 'user']),
  /** Path to true or false, where the status alone does not say it. */
  value: path.optional(),
});

const profiles = z
  .strictObject({
    /** `{user}`: one person a request, 404 is nobody. `{users}`: several, with commas between them. */
    url: template(['user', 'users']),
    /** POSTed as JSON; a text that is `"{users}"`, whole, becomes the list of ids. */
    body: z.json().optional(),
    items: path.optional(),
    /** Path to a person's id in a row. */
    id: path.optional(),
    /** Path to the fields in a row, or in the answer for one person; without it, they are all of it. */
    profile: path.optional(),
    /** Most people of one request. */
    maxUsers: z.number().int().min(1).max(1000).default(100),
    /** Most requests under way, for one slice. */
    parallelLookUps: z.number().int().min(1).max(64).default(8),
  })
  .superRefine(({ url, body, items, id }, context) => {
    const problem = (message: string): void => context.addIssue({ code: 'custom', message });
    const places = [url.includes('{user}'), url.includes('{users}'), hasUsers(body)].filter((isThere) => isThere);
    if (places.length !== 1)
      problem('One of {user} and {users} in "url", and "{users}" in "body", has to say who is asked for.');
    if (url.includes('{user}') && (items !== undefined || id !== undefined || body !== undefined))
      problem('With {user}, the answer is one person: there are no "items", "id" and "body".');
    if (!url.includes('{user}') && id === undefined) problem('"id" has to say whose a row is.');
  });

/** Any service that answers with pages of JSON (docs/sources/http.md). */
export const httpSource = z.strictObject({
  kind: z.literal('http'),
  /** What every path below comes behind. */
  url: serviceUrl,
  /** Sent with every request. */
  headers: requestHeaders.default({}),
  audiences: z.union([audiences, audienceList], {
    error: '"audiences" is a list of {"id": …}, or where one is found: {"url": …, "id": …}.',
  }),
  members,
  member: member.optional(),
  profiles: profiles.optional(),
  /** How old, in ms, a profile may be before it is asked for again. */
  maxProfileAgeMs: z.number().int().min(0).max(3_600_000).default(60_000),
  lagMs: lagMs.default(60_000),
  timeoutMs,
  throughProxy,
});

export type HttpSourceConfig = Readonly<z.infer<typeof httpSource>>;
export type HttpProfiles = Readonly<z.infer<typeof profiles>>;

function hasUsers(body: unknown): boolean {
  if (typeof body === 'object' && body !== null) return Object.values(body).some(hasUsers);
  return body === '{users}';
}
