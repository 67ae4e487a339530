import type { HttpSourceConfig } from './config.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import { LOOK_UP_MS } from '../../domain/limits.ts';
import type { Profile } from '../../domain/message.ts';
import { filled, HttpApi, type HttpAudience, HttpMembers, inGroups, profilesOf, readAudiences } from './audiences.ts';
import type { AudienceSource, MembersPage } from '../../activities/audience-source.ts';
import { checkLimit, isAskable, ProblemReport } from '../../sources/source.ts';
import {
  type JsonService,
  lookUpEach,
  openService,
  PAGE_BUDGET_MS,
  type ServiceSourceOptions,
  valueAt,
} from '../../sources/json-service.ts';
import { KnownAudiences } from '../../sources/known-audiences.ts';
import { ProfileCache } from '../../sources/profile-cache.ts';

const CACHE_BYTES = 16 * 1024 * 1024;
const MEMBERSHIP = 'whether somebody is a member';
const NOT_FOUND = 404;

/** The source `http`: a service that answers with pages of JSON, read by a mapping; see `docs/sources/http.md`. Sends no request yet. */
export function openHttpSource(config: HttpSourceConfig, options: ServiceSourceOptions = {}): AudienceSource {
  return new HttpSource(config, options);
}

class HttpSource implements AudienceSource {
  readonly lagMs: number;
  readonly #config: HttpSourceConfig;
  readonly #options: ServiceSourceOptions;
  readonly #pageBudgetMs: number;
  readonly #service: JsonService;
  readonly #api: HttpApi;
  readonly #audiences: KnownAudiences<HttpAudience>;
  readonly #members: HttpMembers;
  /** Keeps what was found before the time was over: many people then get their profiles within a few attempts. */
  readonly #cache: ProfileCache;

  constructor(config: HttpSourceConfig, options: ServiceSourceOptions) {
    const { onProblem = () => undefined, pageBudgetMs = PAGE_BUDGET_MS } = options;
    const service = openService(config, config.headers, options.network);
    const api = new HttpApi(service, config.url);
    const problems = new ProblemReport(onProblem);
    this.lagMs = config.lagMs;
    this.#config = config;
    this.#options = options;
    this.#pageBudgetMs = pageBudgetMs;
    this.#service = service;
    this.#api = api;
    this.#audiences = new KnownAudiences('The service', () => readAudiences(config.audiences, api));
    this.#members = new HttpMembers({
      api,
      config: config.members,
      tell: ({ id, slug }, what) => problems.add({ name: `Audience ${slug}`, mark: id }, what),
      budgetMs: pageBudgetMs,
    });
    this.#cache = new ProfileCache({ maxBytes: CACHE_BYTES, maxAgeMs: config.maxProfileAgeMs });
  }

  async audiences(): Promise<readonly AudienceListing[]> {
    return (await this.#audiences.list()).map(({ listing }) => listing);
  }

  /** If the configuration lists the audiences, the service can only be asked for their members. */
  async answers(): Promise<void> {
    const [first] = await this.#audiences.list();
    if (first !== undefined && !('url' in this.#config.audiences)) await this.#members.page(first, undefined, 1);
  }

  async members(audienceId: string, after: string | undefined, limit: number): Promise<MembersPage> {
    checkLimit(limit);
    return await this.#members.page(await this.#audiences.find(audienceId), after, limit);
  }

  async isMember(audienceId: string, user: string): Promise<boolean> {
    const audience = await this.#audiences.find(audienceId);
    if (!isAskable(user)) return false;
    const { member } = this.#config;
    return member === undefined ? await this.#isAmong(audience, user) : await this.#saysMember(member, audience, user);
  }

  async profiles(users: readonly string[]): Promise<ReadonlyMap<string, Profile>> {
    const { profiles } = this.#config;
    if (profiles === undefined) return new Map();
    const { found, others } = this.#cache.split(users);
    await lookUpEach({
      items: inGroups(others.filter(isAskable), profiles),
      atOnce: profiles.parallelLookUps,
      budgetMs: this.#options.lookUpBudgetMs ?? LOOK_UP_MS,
      lookUp: async (group) => {
        for (const [user, profile] of await profilesOf(this.#api, profiles, group)) {
          this.#cache.set(user, profile);
          found.set(user, profile);
        }
      },
      tooSlow: (reason) => this.#service.unavailable('all the profiles', { reason }),
    });
    return found;
  }

  async close(): Promise<void> {
    await this.#service.close();
  }

  async #saysMember(
    { url, value }: NonNullable<HttpSourceConfig['member']>,
    { key }: HttpAudience,
    user: string,
  ): Promise<boolean> {
    const path = filled(url, { audience: key, user });
    const answer = await this.#api.get(MEMBERSHIP, path, { tolerated: NOT_FOUND });
    if (answer === undefined) return false;
    const membership = value === undefined ? true : valueAt(answer.body, value);
    if (typeof membership === 'boolean') return membership;
    throw this.#api.unexpected(MEMBERSHIP, `there is neither true nor false under "${value}"`);
  }

  /** For services that cannot be asked about one person: reads members until the person is found. */
  async #isAmong(audience: HttpAudience, user: string): Promise<boolean> {
    const endsAtMs = performance.now() + this.#pageBudgetMs;
    let after: string | undefined;
    do {
      const page = await this.#members.page(audience, after, this.#config.members.maxLimit);
      if (page.ids.includes(user)) return true;
      after = page.next;
      if (after === undefined) return false;
    } while (performance.now() < endsAtMs);
    throw this.#service.unavailable(MEMBERSHIP, {
      reason: `reading all members takes longer than ${this.#pageBudgetMs / 1000} s; "member" in the configuration can name a URL for asking about one`,
    });
  }
}
