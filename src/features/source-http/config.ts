import { z } from 'zod';
import { serviceUrl, maxProfileAgeMs, lagMs, timeoutMs, throughProxy } from '../../config/values.ts';
import { requestHeaders } from '../../authorizations/authorization-config.ts';

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

/** Names the source for people, without secrets. */
export function shownHttp({ url }: HttpSourceConfig): string {
  return new URL(url).origin;
}

export type HttpProfiles = Readonly<z.infer<typeof httpProfiles>>;

function hasUsers(body: unknown): boolean {
  if (typeof body === 'object' && body !== null) return Object.values(body).some(hasUsers);
  return body === '{users}';
}
