import type { HttpSourceConfig } from '../config/http-source-config.ts';
import { LOOK_UP_MS } from '../domain/limits.ts';
import type { Profile } from '../domain/profile.ts';
import { type HttpAudience, readAudiences } from './http/http-audiences.ts';
import { HttpMembers } from './http/http-members.ts';
import { HttpApi } from './http/http-pages.ts';
import { inGroups, profilesOf } from './http/http-profiles.ts';
import { filled } from './http/url-template.ts';
import { JsonService, type SourceNetwork } from './json-service.ts';
import { KnownAudiences } from './known-audiences.ts';
import { lookUpEach } from './look-up-each.ts';
import { ProblemReport } from './problem-report.ts';
import { ProfileCache } from './profile-cache.ts';
import type { AudienceSource } from './source.ts';
import { isAskable } from './user-id.ts';
import { valueAt } from './value-at.ts';

export interface HttpSourceOptions {
  readonly network?: SourceNetwork;
  /** Told, once each, of what is left out. Default: nobody. */
  readonly onProblem?: (text: string) => void;
  /** How long, in ms, a page of members may go on asking. Default 20 s: the activity has a minute. */
  readonly pageBudgetMs?: number;
  /** How long, in ms, profiles may go on being asked for. Default: as long as a slice waits for them. */
  readonly lookUpBudgetMs?: number;
}

const PAGE_BUDGET_MS = 20_000;
const CACHE_BYTES = 16 * 1024 * 1024;
const MEMBERSHIP = 'whether somebody is a member';
const NOT_FOUND = 404;

/** The source `http`: a service that answers with pages of JSON, by a mapping. `docs/sources/http.md` says more. Asks nothing yet. */
export function openHttpSource(config: HttpSourceConfig, options: HttpSourceOptions = {}): AudienceSource {
  const { network = {}, onProblem = () => undefined, pageBudgetMs = PAGE_BUDGET_MS } = options;
  const service = new JsonService({
    url: config.url,
    headers: config.headers,
    timeoutMs: config.timeoutMs,
    network: config.throughProxy ? network : { ...network, proxy: undefined },
  });
  const api = new HttpApi(service, config.url);
  const audiences = new KnownAudiences('The service', () => readAudiences(config.audiences, api));
  const problems = new ProblemReport(onProblem);
  const members = new HttpMembers({
    api,
    config: config.members,
    tell: ({ id, slug }, what) => problems.add({ name: `Audience ${slug}`, mark: id }, what),
    budgetMs: pageBudgetMs,
  });
  // What was found when the time was over need not be asked for again: so many people get their profiles in a few attempts.
  const cache = new ProfileCache({ maxBytes: CACHE_BYTES, maxAgeMs: config.maxProfileAgeMs });
  return {
    lagMs: config.lagMs,
    audiences: async () => (await audiences.list()).map(({ listing }) => listing),
    members: async (audienceId, after, limit) => {
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new RangeError(`A page has 1 or more members, not ${limit}.`);
      return await members.page(await audiences.find(audienceId), after, limit);
    },
    isMember: async (audienceId, user) => {
      const audience = await audiences.find(audienceId);
      if (!isAskable(user)) return false;
      if (config.member === undefined) return await isAmong(audience, user);
      return await saysMember(config.member, audience, user);
    },
    profiles: async (users) => {
      const found = new Map<string, Profile>();
      const asked = new Set<string>();
      for (const user of config.profiles === undefined ? [] : users) {
        const kept = cache.get(user);
        if (kept !== undefined) found.set(user, kept);
        else if (isAskable(user)) asked.add(user);
      }
      const { profiles } = config;
      if (profiles === undefined) return found;
      await lookUpEach({
        items: inGroups([...asked], profiles),
        atOnce: profiles.parallelLookUps,
        budgetMs: options.lookUpBudgetMs ?? LOOK_UP_MS,
        lookUp: async (group) => {
          for (const [user, profile] of await profilesOf(api, profiles, group)) {
            cache.set(user, profile);
            found.set(user, profile);
          }
        },
        tooSlow: (reason) => service.unavailable('all the profiles', { reason }),
      });
      return found;
    },
    close: () => service.close(),
  };

  async function saysMember(
    { url, value }: NonNullable<HttpSourceConfig['member']>,
    { key }: HttpAudience,
    user: string,
  ): Promise<boolean> {
    const answer = await api.get(MEMBERSHIP, filled(url, { audience: key, user }), { tolerated: NOT_FOUND });
    if (answer === undefined) return false;
    const said = value === undefined ? true : valueAt(answer.body, value);
    if (typeof said === 'boolean') return said;
    throw api.unexpected(MEMBERSHIP, `neither true nor false stands under "${value}"`);
  }

  /** For services that cannot be asked for one: reads on until the person is met. */
  async function isAmong(audience: HttpAudience, user: string): Promise<boolean> {
    const endsAtMs = performance.now() + pageBudgetMs;
    let after: string | undefined;
    do {
      const page = await members.page(audience, after, config.members.maxLimit);
      if (page.ids.includes(user)) return true;
      after = page.next;
      if (after === undefined) return false;
    } while (performance.now() < endsAtMs);
    throw service.unavailable(MEMBERSHIP, {
      reason: `reading all members takes longer than ${pageBudgetMs / 1000} s; "member" in the configuration can say where one is asked for`,
    });
  }
}
