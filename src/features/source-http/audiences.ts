import { z } from 'zod';
import type { HttpProfiles as Config, HttpSourceConfig } from './config.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord, stringifyJson } from '../../domain/json.ts';
import { type MembersPage, SourceError } from '../../activities/audience-source.ts';
import { ANSWER_CODES, audienceIdOf, readCursor, idIn } from '../../sources/source.ts';
import { type JsonService, type ServiceAnswer, valueAt } from '../../sources/json-service.ts';
import { KeySearch } from '../../client/push/key-search.ts';

/**
 * A path with its placeholders filled in; characters of the values that have a meaning in a URL are encoded. A query parameter that is only
 * `{cursor}` is left out when there is no cursor, because some services refuse an empty one.
 *
 * @param values by name; the configuration allows no other placeholder.
 */
export function filled(template: string, values: Readonly<Record<string, string | readonly string[]>>): string {
  const text = values['cursor'] === '' ? withoutCursor(template) : template;
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    [values[name] ?? []].flat().map(encodeURIComponent).join(','),
  );
}

function withoutCursor(template: string): string {
  return template
    .replaceAll(/([?&])[^?&=]*=\{cursor\}(&|$)/g, (_, before: string, after: string) => (after === '' ? '' : before))
    .replace(/\?$/, '');
}

/** Where pages are, and how one leads to the next; a part of the configuration. */
interface Paged {
  readonly url: string;
  readonly items?: string | undefined;
  readonly next?: string | undefined;
  readonly nextLink: boolean;
  readonly maxLimit: number;
}

interface Page {
  readonly rows: readonly Json[];
  /** Where the next one is; empty at the end. */
  readonly next: string;
  /** Whether the answer lacks the field for a next page; services may also end like this. */
  readonly isSilent: boolean;
}

/** Bounded, since a cursor is in a workflow's state and in many of its events. */
const MAX_NEXT_LENGTH = 4096;
/** RFC 8288, 3: a target and its parameters, which may have commas in quotes. */
const LINK = /<([^<>]*)>((?:[^,"]|"[^"]*")*)/g;
const RELATION = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i;

/** Asks a service that is configured as an `http` source. */
export class HttpApi {
  readonly #service: JsonService;
  /** The beginning of every path, without a slash at its end. */
  readonly #base: string;

  constructor(service: JsonService, url: string) {
    this.#service = service;
    this.#base = new URL(url).pathname.replace(/\/$/, '');
  }

  /** @throws SourceUnavailable for anything but 2xx; `undefined` is a status that was tolerated. */
  async get(what: string, path: string, options: { readonly body?: string; readonly tolerated?: number } = {}) {
    const { body, tolerated } = options;
    const answer = await this.#service.ask({ what, path: this.#base + path, ...(body === undefined ? {} : { body }) });
    return this.#judged(what, answer, tolerated);
  }

  /**
   * One page.
   * @param at where it is, as the previous page said; empty for the first.
   */
  async page(
    what: string,
    paged: Paged,
    at: string,
    values: { readonly audience?: string; readonly limit: number },
  ): Promise<Page> {
    const hasCursor = paged.url.includes('{cursor}');
    const limit = String(Math.min(values.limit, paged.maxLimit));
    const path =
      at === '' || hasCursor
        ? this.#base + filled(paged.url, { audience: values.audience ?? '', limit, cursor: at })
        : at;
    const answer = this.#judged(what, await this.#service.ask({ what, path }));
    const rows = this.rowsIn(what, answer, paged.items);
    const isSilent = isSilentAbout(paged, answer);
    // Later pages have shown that the path is right.
    if (isSilent && at === '') this.#refuseMisspelt(what, paged.next, answer?.body);
    return { rows, next: this.#next(what, paged, hasCursor, path, answer?.body, answer?.link), isSilent };
  }

  /** The list in an answer; null counts as an empty one. */
  rowsIn(what: string, answer: ServiceAnswer | undefined, items: string | undefined): readonly Json[] {
    if (answer?.body === undefined) throw this.#service.unavailable(what, { code: ANSWER_CODES.notJson });
    const rows = valueAt(answer.body, items) === null ? [] : valueAt(answer.body, items);
    if (Array.isArray(rows)) return rows as readonly Json[];
    throw this.unexpected(what, `there is no list under ${nameOf(items)}`);
  }

  /** An answer does not contain what the configuration says. */
  unexpected(what: string, reason: string): Error {
    return this.#service.unavailable(what, { code: ANSWER_CODES.unexpected, reason });
  }

  #judged(what: string, answer: ServiceAnswer, tolerated?: number): ServiceAnswer | undefined {
    const { status } = answer;
    if (status === tolerated) return undefined;
    if (status >= 200 && status < 300) return answer;
    throw this.#service.unavailable(what, { status });
  }

  /** With a misspelt path, the first page would be taken for all there is. */
  #refuseMisspelt(what: string, path: string | undefined, body: Json | undefined): void {
    const near = path === undefined ? undefined : nearPath(body, path);
    if (near !== undefined && textOf(valueAt(body, near)) !== '')
      throw this.unexpected(what, `there is nothing under "${path}", but something under "${near}"; correct "next"`);
  }

  #next(
    what: string,
    { next: path, nextLink }: Paged,
    hasCursor: boolean,
    from: string,
    body: Json | undefined,
    link: string | undefined,
  ): string {
    if (path === undefined && !nextLink) return '';
    const next = nextLink ? nextOf(link ?? '') : textOf(valueAt(body, path));
    if (next === undefined)
      throw this.unexpected(what, `the value under ${nameOf(path)} does not lead to another page`);
    if (next.length > MAX_NEXT_LENGTH)
      throw this.unexpected(what, `what leads to the next page has more than ${MAX_NEXT_LENGTH} characters`);
    if (next === '' || hasCursor) return next;
    const { origin } = this.#service;
    const url = URL.canParse(next, origin + from) ? new URL(next, origin + from) : undefined;
    if (url?.origin !== origin) throw this.unexpected(what, 'the next page is at another origin, which is not asked');
    return url.pathname + url.search;
  }
}

function isSilentAbout({ next, nextLink }: Paged, answer: ServiceAnswer | undefined): boolean {
  if (nextLink) return answer?.link === undefined;
  return next !== undefined && valueAt(answer?.body, next) === undefined;
}

/** Returns the path that a wrong one most likely meant, by a similar name in the answer; undefined when it has none. */
function nearPath(body: Json | undefined, path: string): string | undefined {
  const names = path.split('.');
  for (const [place, name] of names.entries()) {
    const within = names.slice(0, place).join('.') || undefined;
    const found = valueAt(body, within);
    if (!isRecord(found)) return undefined;
    if (Object.hasOwn(found, name)) continue;
    const near = new KeySearch([name]).misspelt(found);
    if (typeof near !== 'object') return undefined;
    return [...names.slice(0, place), near.key, ...names.slice(place + 1)].join('.');
  }
  return undefined;
}

/** Empty at the end, which services spell in many ways; undefined when it cannot lead to a next page. */
function textOf(value: Json | undefined): string | undefined {
  if (value === undefined || value === null || value === false || value === 0 || value === '0') return '';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return typeof value === 'string' ? value : undefined;
}

function nextOf(link: string): string {
  for (const [, target = '', parameters = ''] of link.matchAll(LINK)) {
    const [, quoted, plain] = RELATION.exec(parameters) ?? [];
    if ((quoted ?? plain ?? '').toLowerCase().split(/\s+/).includes('next')) return target;
  }
  return '';
}

function nameOf(path: string | undefined): string {
  return path === undefined ? 'the answer itself' : `"${path}"`;
}

/** An audience and how the service calls it. */
export interface HttpAudience {
  readonly id: string;
  readonly slug: string;
  /** The value of `{audience}`. */
  readonly key: string;
  readonly listing: AudienceListing;
}

const AUDIENCES = 'its audiences';

/** The audiences that are configured, or that the service lists, by slug. */
export async function readAudiences(
  config: HttpSourceConfig['audiences'],
  api: HttpApi,
): Promise<readonly HttpAudience[]> {
  const audiences =
    'url' in config
      ? (await allRows(config, api)).flatMap((row) => {
          const key = idIn(valueAt(row, config.id));
          if (key === undefined) throw api.unexpected(AUDIENCES, `an audience has no id under "${config.id}"`);
          const at = (path: string | undefined): Json | undefined => path && valueAt(row, path);
          return audienceOf(key, at(config.slug), at(config.name), at(config.windowMinutes), at(config.size));
        })
      : config.map(({ id, slug, name, windowMinutes }) => audienceOf(id, slug, name, windowMinutes));
  return audiences.sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

async function allRows(
  config: Extract<HttpSourceConfig['audiences'], { url: string }>,
  api: HttpApi,
): Promise<readonly Json[]> {
  const rows: Json[] = [];
  const places = new Set<string>();
  for (let at = ''; !places.has(at);) {
    places.add(at);
    const page = await api.page(AUDIENCES, config, at, { limit: config.maxLimit });
    rows.push(...page.rows);
    if (page.next === '') return rows;
    at = page.next;
  }
  throw api.unexpected(AUDIENCES, 'it is circular: the next page has come before');
}

function audienceOf(
  key: string,
  slug: Json | undefined,
  name: Json | undefined,
  windowMinutes: Json | undefined,
  size?: Json,
): HttpAudience {
  const id = audienceIdOf(key);
  const slugText = idIn(slug) ?? key;
  const listing = {
    id,
    slug: slugText,
    name: idIn(name) ?? slugText,
    ...(typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? { size } : {}),
    ...(typeof windowMinutes === 'number' && windowMinutes > 0 ? { windowMinutes } : {}),
  };
  return { id, slug: slugText, key, listing };
}

const MEMBERS = 'a page of members';
/** This many rows without a single id are not a coincidence. */
const NAMELESS_ROWS = 100;

/** Where the reading of members is. */
interface Place {
  /** Where the page is, as the previous one said; empty for the first. */
  readonly at: string;
  /** The page has been returned up to this person, since the service gave more than was asked for. */
  readonly behind?: string | undefined;
  /** Rows to ask for in each page: a page's place may be a number of pages, which means nothing with another size. */
  readonly size: number;
  /** Rows so far, as long as none had an id; absent: some had. */
  readonly nameless?: number | undefined;
}

const placeSchema = z.object({
  at: z.string(),
  behind: z.string().optional(),
  size: z.number().int().min(1),
  nameless: z.number().int().min(0).optional(),
});

export interface HttpMembersOptions {
  readonly api: HttpApi;
  readonly config: HttpSourceConfig['members'];
  /** Called about people who are left out or repeated. */
  readonly tell: (audience: HttpAudience, what: string) => void;
  /** How long, in ms, requests of a page may begin. */
  readonly budgetMs: number;
}

/** Reads pages of members from pages of a service, whatever size these have. */
export class HttpMembers {
  readonly #options: HttpMembersOptions;

  constructor(options: HttpMembersOptions) {
    this.#options = options;
  }

  async page(audience: HttpAudience, after: string | undefined, limit: number): Promise<MembersPage> {
    const { api, config, tell, budgetMs } = this.#options;
    const endsAtMs = performance.now() + budgetMs;
    const ids: string[] = [];
    let place = placeOf(after, Math.min(limit, config.maxLimit));
    do {
      const room = limit - ids.length;
      const page = await api.page(MEMBERS, config, place.at, { audience: audience.key, limit: place.size });
      const users = this.#usersIn(audience, page.rows, place);
      ids.push(...users.slice(0, room));
      const last = ids.at(-1);
      // The place to continue within a page is remembered as a person, since positions shift as people come and go.
      if (users.length > room && last !== undefined)
        return { ids, next: cursorOf({ ...place, behind: last, nameless: undefined }) };
      const nameless = users.length > 0 || place.nameless === undefined ? undefined : place.nameless + page.rows.length;
      const isEnd = page.next === '';
      this.#mustHaveIds(audience, nameless ?? 0, isEnd);
      if (isEnd && place.at === '' && page.isSilent && page.rows.length >= place.size)
        tell(audience, 'the first page is full, and nothing says where the next one is: it counts as the only one.');
      if (isEnd) return { ids };
      place = { at: page.next, size: place.size, nameless };
    } while (ids.length < limit && performance.now() < endsAtMs);
    return { ids, next: cursorOf(place) };
  }

  /** The people of a page after that place; everybody when it is no longer there. */
  #usersIn(audience: HttpAudience, rows: readonly Json[], { behind }: Place): string[] {
    const users = rows.map((row) => idIn(valueAt(row, this.#options.config.id)));
    const named = users.filter((user) => user !== undefined);
    if (named.length < users.length) this.#options.tell(audience, 'some rows have no id of a person and are left out.');
    return behind === undefined ? named : named.slice(named.lastIndexOf(behind) + 1);
  }

  /** A field that no person has means a mistake in the configuration, not an empty audience. */
  #mustHaveIds({ slug }: HttpAudience, rows: number, isEnd: boolean): void {
    if (rows < (isEnd ? 1 : NAMELESS_ROWS)) return;
    throw new SourceError(
      `None of the ${isEnd ? '' : 'first '}${rows} rows of "${slug}" has a person's id where "members.id" in the configuration's "source" says. An id is a text or a whole number.`,
    );
  }
}

function cursorOf(place: Place): string {
  return JSON.stringify(place);
}

/** @throws SourceError when a text is not a cursor of this source. */
function placeOf(cursor: string | undefined, size: number): Place {
  if (cursor === undefined) return { at: '', size, nameless: 0 };
  return readCursor(cursor, placeSchema, "of this service's members");
}

const PROFILES = 'profiles';
const NOT_FOUND = 404;

/** Divides the people into groups that one request each can ask about. */
export function inGroups(users: readonly string[], { url, maxUsers }: Config): (readonly string[])[] {
  const size = url.includes('{user}') ? 1 : maxUsers;
  return Array.from({ length: Math.ceil(users.length / size) }, (_, i) => users.slice(i * size, (i + 1) * size));
}

/** The profiles of one group, as far as the service knows its people. */
export async function profilesOf(
  api: HttpApi,
  config: Config,
  users: readonly string[],
): Promise<ReadonlyMap<string, JsonObject>> {
  const [user = ''] = users;
  const path = filled(config.url, { user, users });
  if (config.url.includes('{user}')) {
    const answer = await api.get(PROFILES, path, { tolerated: NOT_FOUND });
    return answer === undefined ? new Map() : new Map([[user, fieldsIn(api, config, answer.body)]]);
  }
  const body = config.body === undefined ? {} : { body: stringifyJson(withUsers(config.body, users)) };
  const rows = api.rowsIn(PROFILES, await api.get(PROFILES, path, body), config.items);
  const requested = new Set(users);
  const found = new Map<string, JsonObject>();
  for (const row of rows) {
    const owner = idIn(valueAt(row, config.id));
    if (owner !== undefined && requested.has(owner)) found.set(owner, fieldsIn(api, config, row));
  }
  return found;
}

function fieldsIn(api: HttpApi, { profile }: Config, value: Json | undefined): JsonObject {
  const fields = valueAt(value, profile);
  if (isRecord(fields)) return fields;
  throw api.unexpected(
    PROFILES,
    `somebody has no object under ${profile === undefined ? 'their row' : `"${profile}"`}`,
  );
}

function withUsers(body: Json, users: readonly string[]): Json {
  if (body === '{users}') return users;
  if (Array.isArray(body)) return (body as readonly Json[]).map((item) => withUsers(item, users));
  if (!isRecord(body)) return body;
  return Object.fromEntries(Object.entries(body).map(([name, item]) => [name, withUsers(item, users)]));
}
