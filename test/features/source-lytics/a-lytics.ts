import { lyticsSource, type LyticsSourceConfig } from '../../../src/features/source-lytics/config.ts';
import type { AudienceListing } from '../../../src/contract/audience.ts';
import type { JsonObject } from '../../../src/contract/trigger.ts';
import type { ServiceSourceOptions } from '../../../src/sources/json-service.ts';
import { openLyticsSource } from '../../../src/features/source-lytics/source.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import type { SourceContent } from '../../support/memory-source.ts';
import { afterwards } from '../../webhook/a-server.ts';
import { type Answered, type Asked, type JsonServer, startJsonServer } from '../../sources/a-json-server.ts';

export const TOKEN = 'at.0123456789abcdef';
export const VIP = 'a'.repeat(32);
export const PEOPLE = Array.from({ length: 1050 }, (_, i) => `p${i}`);
/** Load on the machine must not make look-ups of thousands too slow. */
export const PATIENT = { lookUpBudgetMs: 30_000 };

export function settings(url: string, more: object = {}): LyticsSourceConfig {
  return lyticsSource.parse({ kind: 'lytics', url, token: TOKEN, userField: '_uid', ...more });
}

/** A source of that account; closed behind the test. */
export function opened(lytics: Lytics, more: object = {}, options: ServiceSourceOptions = PATIENT): AudienceSource {
  const source = openLyticsSource(settings(lytics.url, more), options);
  afterwards(() => source.close());
  return source;
}

/** An account with one audience. */
export function accountOf(
  members: readonly string[] = PEOPLE,
  profiles: Record<string, JsonObject> = {},
): Promise<Lytics> {
  return startLytics({ audiences: [{ id: VIP, slug: 'vip', name: 'VIP', members }], profiles });
}

/** Lets it answer so, before it answers by itself again. */
export function once(...answers: Answered[]): (lytics: Lytics) => void {
  return ({ before }) => before.push(...answers.map((answer) => () => answer));
}

export interface Lytics extends JsonServer {
  /** From now on, no `_next` that was given out is recent any more. */
  expire(): void;
  /** How a `_next` that is not recent is answered: no document says. */
  stale: Answered;
  /** Members, changed as a test goes. */
  readonly members: Map<string, string[]>;
  /** More objects in the list of segments, as they are. */
  readonly moreSegments: JsonObject[];
  /** What `total` says, instead of the truth. */
  total: number | undefined;
}

/**
 * A Lytics as its documents describe it, oddities included: `_uid` identifies people, scans give 10 rows and at most 100, a missing person is HTTP 200,
 * an empty list is null, a refused token is answered in the form of the old API.
 */
export async function startLytics({ audiences, profiles }: SourceContent): Promise<Lytics> {
  let generation = 0;
  const members = new Map(audiences.map((audience) => [audience.id, [...audience.members]]));
  const moreSegments: JsonObject[] = [];
  const people: ReadonlySet<string> = new Set([
    ...Object.keys(profiles),
    ...audiences.flatMap(({ members }) => members),
  ]);
  const rowOf = (user: string): JsonObject => ({ _uid: user, ...profiles[user] });

  const segments = (): Answered => {
    const data = [...audiences.map((audience) => segmentOf(audience, members.get(audience.id) ?? [])), ...moreSegments];
    return { json: { data: data.length === 0 ? null : data, status: 200, request_id: 'r-1' } };
  };
  const scan = (name: string, query: URLSearchParams): Answered => {
    const audience = audiences.find(({ id, slug }) => id === name || slug === name);
    const limit = Number(query.get('limit') ?? 10);
    if (audience === undefined) return refusal(404, 'Segment not found');
    if (limit > 100) return refusal(400, 'limit is at most 100');
    const start = query.get('start') ?? '';
    const [from = 0, of = generation] = start === '' ? [] : start.split('.').map(Number);
    if (of !== generation) return lytics.stale;
    const all = members.get(audience.id) ?? [];
    const data = all.slice(from, from + limit).map((user) => ({ ...rowOf(user), segments: slugsOf(user) }));
    const next = from + limit < all.length ? `${from + limit}.${generation}` : '';
    const total = lytics.total ?? all.length;
    return {
      json: { status: '200', message: 'success', _next: next, total, data: data.length === 0 ? null : data },
    };
  };
  const slugsOf = (user: string): string[] =>
    audiences.filter(({ id }) => members.get(id)?.includes(user)).map(({ slug }) => slug);
  const entity = (user: string): Answered => {
    if (!people.has(user))
      return { json: { data: { segments: ['not_found', 'all'] }, message: 'Not Found', status: 200 } };
    const ids = audiences.filter(({ id }) => members.get(id)?.includes(user)).map(({ id }) => id);
    const data = { ...rowOf(user), segments: ['all', ...slugsOf(user)], segments_all: ids.length === 0 ? null : ids };
    return { json: { meta: { name: 'user' }, data, status: 200, message: 'success' } };
  };

  const answer = ({ url, headers }: Asked): Answered => {
    const [, ...parts] = url.pathname.split('/').map(decodeURIComponent);
    if (headers.authorization !== TOKEN) return { status: 401, json: { message: 'Not authorized', status: 401 } };
    if (url.pathname === '/v2/segment') return segments();
    if (parts[1] === 'segment' && parts[3] === 'scan') return scan(parts[2] ?? '', url.searchParams);
    if (parts[1] === 'entity' && parts[3] === '_uid' && parts.length === 5) return entity(parts[4] ?? '');
    return { status: 404, text: '404 page not found' };
  };
  const lytics: Lytics = {
    ...(await startJsonServer(answer)),
    members,
    moreSegments,
    stale: refusal(400, `the start is not recent, says ${TOKEN}`),
    total: undefined,
    expire: () => generation++,
  };
  return lytics;
}

/** The old API's form of an error. */
export function refusal(status: number, message: string): Answered {
  return { status, json: { data: null, message, status } };
}

function segmentOf({ id, slug, name, windowMinutes }: AudienceListing, members: readonly string[]): JsonObject {
  return {
    id,
    name,
    slug_name: slug,
    kind: 'segment',
    table: 'user',
    is_public: true,
    segment_ql:
      windowMinutes === undefined
        ? `FILTER EXISTS email FROM user ALIAS ${slug}`
        : `FILTER AND (last_active_ts > "now-${windowMinutes}m", visitct > 5) FROM user ALIAS ${slug}`,
    datemath_calc: windowMinutes !== undefined,
    forward_datemath: false,
    size: members.length,
    tags: null,
  };
}
