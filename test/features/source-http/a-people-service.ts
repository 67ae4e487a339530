import { httpSource, type HttpSourceConfig } from '../../../src/features/source-http/config.ts';
import type { JsonObject } from '../../../src/contract/trigger.ts';
import { openHttpSource } from '../../../src/features/source-http/source.ts';
import type { ServiceSourceOptions } from '../../../src/sources/json-service.ts';
import type { AudienceSource } from '../../../src/activities/audience-source.ts';
import type { SourceContent } from '../../support/memory-source.ts';
import { afterwards } from '../../webhook/a-server.ts';
import { type Answered, type Asked, type JsonServer, startJsonServer } from '../../sources/a-json-server.ts';

export const TOKEN = 's3cret-token';
/** Load on the machine must not make look-ups of thousands too slow. */
export const PATIENT = { lookUpBudgetMs: 30_000 };

/** The mapping of the service below: lists, cursors in the body, profiles by POST. */
export const BY_CURSOR = {
  audiences: {
    url: '/lists?after={cursor}',
    items: 'data.lists',
    id: 'list_id',
    slug: 'code',
    name: 'title',
    size: 'count',
    windowMinutes: 'window',
    next: 'data.after',
  },
  members: {
    url: '/lists/{audience}/people?after={cursor}&limit={limit}',
    items: 'data',
    id: 'person.id',
    next: 'paging.next',
    maxLimit: 400,
  },
  member: { url: '/lists/{audience}/people/{user}' },
  profiles: {
    url: '/people/search',
    body: { filter: { ids: '{users}' }, full: true },
    items: 'data',
    id: 'id',
    profile: 'fields',
    maxUsers: 150,
  },
};

/** The same service another way: the next page by its URL in the header `link`, profiles by GET, one person each. */
export const BY_LINK = {
  members: { url: '/linked/{audience}?size={limit}', nextLink: true },
  profiles: { url: '/people/{user}', profile: 'fields' },
};

/** A service with lists of people; ids in rows are texts, pages as long as is asked for, up to 500. */
export async function startPeopleService({ audiences, profiles }: SourceContent): Promise<JsonServer> {
  const peopleOf = (key: string): readonly string[] | undefined => audiences.find(({ id }) => id === key)?.members;
  const profileOf = (user: string): JsonObject | undefined =>
    Object.hasOwn(profiles, user) ? profiles[user] : undefined;
  const lists = (after: string | null): Answered => {
    // Two a page, so that there is more than one.
    const from = Number(after ?? 0);
    const rows = audiences.slice(from, from + 2).map(({ id, slug, name, windowMinutes, members }) => ({
      list_id: id,
      code: slug,
      title: name,
      count: members.length,
      window: windowMinutes ?? null,
    }));
    return { json: { data: { lists: rows, after: from + 2 < audiences.length ? from + 2 : null } } };
  };
  const page = (key: string, from: number, limit: number): { rows: readonly string[]; next: number | undefined } => {
    const all = peopleOf(key) ?? [];
    const most = Math.min(limit, 500);
    return { rows: all.slice(from, from + most), next: from + most < all.length ? from + most : undefined };
  };
  const answer = ({ url, headers, method, body }: Asked): Answered => {
    const { searchParams: query } = url;
    const [, ...parts] = url.pathname.split('/').map(decodeURIComponent);
    const [api, first, second = '', third, fourth] = parts;
    if (headers.authorization !== `Bearer ${TOKEN}`) return { status: 401, json: { error: TOKEN } };
    if (api !== 'v1') return { status: 404, text: 'elsewhere' };
    if (first === 'lists' && second === '') return lists(query.get('after'));
    if (first === 'lists' && third === 'people' && fourth !== undefined)
      return peopleOf(second)?.includes(fourth) === true ? { status: 204, text: '' } : { status: 404, text: '' };
    if (first === 'lists' && third === 'people') {
      if (query.get('after') === '') return { status: 400, json: { error: 'after is empty' } };
      const { rows, next } = page(second, Number(query.get('after') ?? 0), Number(query.get('limit')));
      return { json: { data: rows.map((id) => ({ person: { id } })), paging: next === undefined ? {} : { next } } };
    }
    if (first === 'linked') {
      const size = query.get('size') ?? '10';
      const { rows, next } = page(second, Number(query.get('from') ?? 0), Number(size));
      const link = `<http://else.example/?a=1,2>; rel="prev", <?from=${next}&size=${size}>; title="a, b"; rel="last next"`;
      return { json: rows, ...(next === undefined ? {} : { headers: { link } }) };
    }
    if (first === 'people' && second === 'search' && method === 'POST') {
      const { filter } = JSON.parse(body) as { filter: { ids: string[] } };
      const data = filter.ids.flatMap((id) => {
        const fields = profileOf(id);
        return fields === undefined ? [] : [{ id, fields }];
      });
      return { json: { data } };
    }
    const fields = first === 'people' ? profileOf(second) : undefined;
    return fields === undefined ? { status: 404, json: null } : { json: { fields } };
  };
  return startJsonServer(answer);
}

export function settings(url: string, mapping: object = BY_CURSOR): HttpSourceConfig {
  const headers = { Authorization: `Bearer ${TOKEN}` };
  return httpSource.parse({ kind: 'http', url: `${url}/v1/`, headers, ...mapping });
}

/** A source of that service; closed behind the test. */
export function opened(url: string, mapping?: object, options: ServiceSourceOptions = PATIENT): AudienceSource {
  const source = openHttpSource(settings(url, mapping), options);
  afterwards(() => source.close());
  return source;
}
