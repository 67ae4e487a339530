import type { LyticsSourceConfig } from '../config/lytics-source-config.ts';
import type { AudienceListing } from '../contract/audience.ts';
import type { Json, JsonObject } from '../contract/trigger.ts';
import { isRecord } from '../domain/json.ts';
import { LOOK_UP_MS } from '../domain/limits.ts';
import type { Profile } from '../domain/profile.ts';
import { JsonService, type SourceNetwork } from './json-service.ts';
import { KnownAudiences } from './known-audiences.ts';
import { lookUpEach } from './look-up-each.ts';
import { LyticsApi } from './lytics/lytics-api.ts';
import { profileOf } from './lytics/lytics-profile.ts';
import { LyticsScan } from './lytics/lytics-scan.ts';
import { readSegments } from './lytics/lytics-segments.ts';
import { ProblemReport } from './problem-report.ts';
import { ProfileCache } from './profile-cache.ts';
import type { AudienceSource } from './source.ts';
import { isAskable, userIn } from './user-id.ts';
import { valueAt } from './value-at.ts';

export interface LyticsSourceOptions {
  readonly network?: SourceNetwork;
  /** Told, once each, of what is left out or repeated. Default: nobody. */
  readonly onProblem?: (text: string) => void;
  /** How long, in ms, a page of members may go on asking. Default 20 s: the activity has a minute. */
  readonly pageBudgetMs?: number;
  /** How long, in ms, profiles may go on being asked for. Default: as long as a slice waits for them. */
  readonly lookUpBudgetMs?: number;
  readonly maxAnswerBytes?: number;
}

const PAGE_BUDGET_MS = 20_000;
/** Profiles of people that scans brought wait for their turn: some 8,000 of 4 KiB. */
const CACHE_BYTES = 64 * 1024 * 1024;
const PROFILE = 'a profile';
const NOT_FOUND = 404;

/** The source `lytics`: the audiences of a Lytics account, read by its API. `docs/sources/lytics.md` says more. Asks nothing yet. */
export function openLyticsSource(config: LyticsSourceConfig, options: LyticsSourceOptions = {}): AudienceSource {
  const { network = {}, onProblem = () => undefined, maxAnswerBytes } = options;
  const service = new JsonService({
    url: config.url,
    headers: { authorization: config.token },
    timeoutMs: config.timeoutMs,
    network: config.throughProxy ? network : { ...network, proxy: undefined },
    ...(maxAnswerBytes === undefined ? {} : { maxAnswerBytes }),
  });
  const api = new LyticsApi(service);
  const segments = new KnownAudiences('Lytics', () => readSegments(api));
  const cache = new ProfileCache({ maxBytes: CACHE_BYTES, maxAgeMs: config.maxProfileAgeMs });
  const numberFields = new Set(config.numberFields);
  const problems = new ProblemReport(onProblem);
  const scan = new LyticsScan({
    api,
    pageSize: config.pageSize,
    userOf: (row) => userIn(valueAt(row, config.userField)),
    onRow: (user, row) => cache.set(user, profileOf(row, numberFields)),
    tell: ({ id, slug }, what) => problems.add({ name: `Audience ${slug}`, mark: id }, what),
    budgetMs: options.pageBudgetMs ?? PAGE_BUDGET_MS,
  });
  const lookUp = async (user: string): Promise<JsonObject | undefined> => await entity(api, config.userField, user);
  return {
    lagMs: config.lagMs,
    audiences: () => segments.list(),
    members: async (audienceId, after, limit) => {
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new RangeError(`A page has 1 or more members, not ${limit}.`);
      return await scan.page(await segments.find(audienceId), after, limit);
    },
    isMember: async (audienceId, user) => {
      const audience = await segments.find(audienceId);
      const found = isAskable(user) ? await lookUp(user) : undefined;
      return found !== undefined && isIn(audience, found, api);
    },
    profiles: async (users) => {
      const found = new Map<string, Profile>();
      const asked = new Set<string>();
      for (const user of users) {
        const kept = cache.get(user);
        if (kept !== undefined) found.set(user, kept);
        else if (isAskable(user)) asked.add(user);
      }
      await lookUpEach({
        items: [...asked],
        atOnce: config.parallelLookUps,
        budgetMs: options.lookUpBudgetMs ?? LOOK_UP_MS,
        lookUp: async (user) => {
          const row = await lookUp(user);
          if (row === undefined) return;
          const profile = profileOf(row, numberFields);
          cache.set(user, profile);
          found.set(user, profile);
        },
        tooSlow: (reason) => service.unavailable('all the profiles', { reason }),
      });
      return found;
    },
    close: () => service.close(),
  };
}

/** What Lytics knows of a person; undefined when it knows nobody. It says so with HTTP 200 and somebody who is in the segment "not_found". */
async function entity(api: LyticsApi, field: string, user: string): Promise<JsonObject | undefined> {
  const path = `/api/entity/user/${encodeURIComponent(field)}/${encodeURIComponent(user)}?segments=true&allsegments=true`;
  const { status, message, data } = await api.get(PROFILE, path, [NOT_FOUND]);
  if (status === NOT_FOUND || /^not found\b/i.test(message)) return undefined;
  if (!isRecord(data)) throw api.unexpected(PROFILE, 'there is nobody under "data"');
  return listOf(data['segments'])?.includes('not_found') ? undefined : data;
}

/**
 * Whether a person is in an audience: `segments` has the slugs of segments, `segments_all` the ids of all. Only the second can say that somebody is in
 * none of them.
 */
function isIn({ id, slug }: AudienceListing, row: JsonObject, api: LyticsApi): boolean {
  const all = listOf(row['segments_all']);
  if (all?.includes(id) || all?.includes(slug) || listOf(row['segments'])?.includes(slug)) return true;
  if (all !== undefined) return false;
  throw api.unexpected('the audiences of a person', 'it does not say under "segments_all" that these are all');
}

/** Lytics writes an empty list as null. */
function listOf(value: Json | undefined): readonly Json[] | undefined {
  if (value === null) return [];
  return Array.isArray(value) ? (value as readonly Json[]) : undefined;
}
