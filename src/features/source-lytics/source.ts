import type { LyticsSourceConfig } from './config.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import { LOOK_UP_MS } from '../../domain/limits.ts';
import type { Profile } from '../../domain/message.ts';
import type { AudienceSource, MembersPage } from '../../activities/audience-source.ts';
import { checkLimit, isAskable, ProblemReport, idIn } from '../../sources/source.ts';
import {
  type JsonService,
  lookUpEach,
  openService,
  PAGE_BUDGET_MS,
  type ServiceSourceOptions,
  valueAt,
} from '../../sources/json-service.ts';
import { KnownAudiences } from '../../sources/known-audiences.ts';
import { LyticsApi, LyticsScan, type LyticsSegment, readSegments } from './segments.ts';
import { ProfileCache } from '../../sources/profile-cache.ts';

/** The parts of an answer that Lytics' own webhook does not send as fields of the person. */
const NOT_SENT: ReadonlySet<string> = new Set(['_uid', 'segments', 'segments_all']);
/** Fields of every account that its webhook sends as numbers, or as numbers by name, and its API as texts. */
const NUMBERS = /^(score_\w+|hourly|hourofweek|_split|_cust_sz|_internal_sz|_total_sz|_num_\w+)$/;
/** A number that its text expresses exactly: no exponent, no leading zeros, nothing else. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

/**
 * The fields of a person as Lytics' own webhook would send them: the API writes numbers as texts. Only fields that are known to be numbers
 * become numbers, since a postcode is digits too.
 *
 * @param numberFields names of the account's own fields that hold numbers, or objects of them.
 */
function profileOf(row: JsonObject, numberFields: ReadonlySet<string>): JsonObject {
  const profile: Record<string, Json> = Object.create(null) as Record<string, Json>; // A field may have any name, "__proto__" too.
  for (const [name, value] of Object.entries(row)) {
    if (!NOT_SENT.has(name)) profile[name] = numberFields.has(name) || NUMBERS.test(name) ? numbersOf(value) : value;
  }
  return { ...profile };
}

function numbersOf(value: Json): Json {
  if (!isRecord(value)) return numberOf(value);
  const entries = Object.entries(value).map(([name, item]) => [name, numberOf(item)] as const);
  return Object.fromEntries(entries);
}

/** A text that is a number becomes that number, digit for digit; any other stays as it is. */
function numberOf(value: Json): Json {
  if (typeof value !== 'string' || !NUMBER.test(value)) return value;
  const number = Number(value);
  if (value.includes('.')) return String(number) === value ? number : value;
  return Number.isSafeInteger(number) ? number : BigInt(value);
}

/** For profiles that scans have read and that will soon be needed: some 8,000 of 4 KiB. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** How long a person's audiences may be used after they were read: until the next attempts of a slice whose look-ups took too long. */
const LISTS_MS = 15_000;
const PROFILE = 'a profile';
const NOT_FOUND = 404;

/** The source `lytics`: the audiences of a Lytics account, read through its API; see `docs/sources/lytics.md`. Sends no request yet. */
export function openLyticsSource(config: LyticsSourceConfig, options: ServiceSourceOptions = {}): AudienceSource {
  return new LyticsSource(config, options);
}

class LyticsSource implements AudienceSource {
  readonly lagMs: number;
  readonly #config: LyticsSourceConfig;
  readonly #lookUpBudgetMs: number;
  readonly #numberFields: ReadonlySet<string>;
  readonly #service: JsonService;
  readonly #api: LyticsApi;
  readonly #segments: KnownAudiences<LyticsSegment>;
  readonly #scan: LyticsScan;
  readonly #cache: ProfileCache;
  /** The audiences of people who were looked up a moment ago, for their profile or by an attempt that ran out of time. */
  readonly #lists = new Map<string, { readonly row: JsonObject; readonly atMs: number }>();
  readonly #pending = new Map<string, Promise<JsonObject | undefined>>();

  constructor(config: LyticsSourceConfig, options: ServiceSourceOptions) {
    const { onProblem = () => undefined } = options;
    const { pageSize, userField } = config;
    const service = openService(config, { authorization: config.token }, options.network);
    const api = new LyticsApi(service);
    const problems = new ProblemReport(onProblem);
    this.lagMs = config.lagMs;
    this.#config = config;
    this.#lookUpBudgetMs = options.lookUpBudgetMs ?? LOOK_UP_MS;
    this.#numberFields = new Set(config.numberFields);
    this.#service = service;
    this.#api = api;
    this.#segments = new KnownAudiences('Lytics', () => readSegments(api));
    this.#cache = new ProfileCache({ maxBytes: CACHE_BYTES, maxAgeMs: config.maxProfileAgeMs });
    this.#scan = new LyticsScan({
      api,
      pageSize,
      userOf: (row) => idIn(valueAt(row, userField)),
      onRow: (user, row) => this.#cache.set(user, profileOf(row, this.#numberFields)),
      tell: ({ id, slug }, what) => problems.add({ name: `Audience ${slug}`, mark: id }, what),
      budgetMs: options.pageBudgetMs ?? PAGE_BUDGET_MS,
    });
  }

  async audiences(): Promise<readonly AudienceListing[]> {
    return (await this.#segments.list()).map(({ listing }) => listing);
  }

  async members(audienceId: string, after: string | undefined, limit: number): Promise<MembersPage> {
    checkLimit(limit);
    return await this.#scan.page(await this.#segments.find(audienceId), after, limit);
  }

  async isMember(audienceId: string, user: string): Promise<boolean> {
    const audience = await this.#segments.find(audienceId);
    const found = isAskable(user) ? await entity(this.#api, this.#config.userField, user) : undefined;
    return found !== undefined && isIn(audience, found, this.#api);
  }

  async profiles(users: readonly string[]): Promise<ReadonlyMap<string, Profile>> {
    const { found, others } = this.#cache.split(users);
    await this.#lookUpEach(others, 'all the profiles', async (user) => {
      const row = await this.#row(user);
      if (row === undefined) return;
      const profile = profileOf(row, this.#numberFields);
      this.#cache.set(user, profile);
      found.set(user, profile);
    });
    return found;
  }

  async memberships(users: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const audiences = await this.#segments.recent();
    const found = new Map<string, readonly string[]>();
    await this.#lookUpEach([...new Set(users)], 'the audiences of everybody', async (user) => {
      const row = this.#recentLists(user) ?? (await this.#row(user)) ?? NOWHERE;
      const slugs = audiences.filter((audience) => isIn(audience, row, this.#api)).map(({ slug }) => slug);
      found.set(user, slugs);
    });
    return found;
  }

  async #lookUpEach(users: readonly string[], what: string, lookUp: (user: string) => Promise<void>): Promise<void> {
    await lookUpEach({
      items: users.filter(isAskable),
      atOnce: this.#config.parallelLookUps,
      budgetMs: this.#lookUpBudgetMs,
      lookUp,
      tooSlow: (reason) => this.#service.unavailable(what, { reason }),
    });
  }

  /** Asks once for all callers at the same time: a slice wants the profile and the audiences of each person. */
  async #row(user: string): Promise<JsonObject | undefined> {
    const pending = this.#pending.get(user) ?? this.#ask(user).finally(() => void this.#pending.delete(user));
    this.#pending.set(user, pending);
    return await pending;
  }

  #recentLists(user: string): JsonObject | undefined {
    const known = this.#lists.get(user);
    return known !== undefined && performance.now() - known.atMs < LISTS_MS ? known.row : undefined;
  }

  async #ask(user: string): Promise<JsonObject | undefined> {
    const row = await entity(this.#api, this.#config.userField, user);
    const nowMs = performance.now();
    for (const [oldest, { atMs }] of this.#lists) {
      if (nowMs - atMs < LISTS_MS) break;
      this.#lists.delete(oldest);
    }
    this.#lists.delete(user);
    this.#lists.set(user, { row: row === undefined ? NOWHERE : listsIn(row), atMs: nowMs });
    return row;
  }

  async close(): Promise<void> {
    await this.#service.close();
  }
}

/** Reads a person from Lytics; undefined when it does not know them: it may say so with HTTP 200 and a person in the segment "not_found". */
async function entity(api: LyticsApi, field: string, user: string): Promise<JsonObject | undefined> {
  const path = `/api/entity/user/${encodeURIComponent(field)}/${encodeURIComponent(user)}?segments=true&allsegments=true`;
  const { status, message, data } = await api.get(PROFILE, path, [NOT_FOUND]);
  if (status === NOT_FOUND || /^not found\b/i.test(message)) return undefined;
  if (!isRecord(data)) throw api.unexpected(PROFILE, 'there is nobody under "data"');
  return listOf(data['segments'])?.includes('not_found') ? undefined : data;
}

/**
 * Whether a person is in an audience: `segments` has the slugs of segments, `segments_all` the ids of all of them. Only the latter can show
 * that somebody is in none.
 */
function isIn({ key, slug }: LyticsSegment, row: JsonObject, api: LyticsApi): boolean {
  const all = listOf(row['segments_all']);
  if (all?.some((one) => idIn(one) === key) || all?.includes(slug) || listOf(row['segments'])?.includes(slug))
    return true;
  if (all !== undefined) return false;
  throw api.unexpected('the audiences of a person', 'it does not list all of them under "segments_all"');
}

/** The audiences of a person whom Lytics does not know. */
const NOWHERE: JsonObject = { segments_all: [] };

/** Returns the fields of a row that list a person's audiences. */
function listsIn(row: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(row).filter(([name]) => name === 'segments' || name === 'segments_all'));
}

/** Lytics writes an empty list as null. */
function listOf(value: Json | undefined): readonly Json[] | undefined {
  if (value === null) return [];
  return Array.isArray(value) ? (value as readonly Json[]) : undefined;
}
