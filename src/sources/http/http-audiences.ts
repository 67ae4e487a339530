import type { HttpSourceConfig } from '../../config/http-source-config.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import type { Json } from '../../contract/trigger.ts';
import { audienceIdOf } from '../audience-id.ts';
import { markPage, NO_PAGES } from '../loop-mark.ts';
import { userIn as idIn } from '../user-id.ts';
import { valueAt } from '../value-at.ts';
import type { HttpApi } from './http-pages.ts';

/** An audience and how the service calls it. */
export interface HttpAudience {
  readonly id: string;
  readonly slug: string;
  /** What `{audience}` stands for. */
  readonly key: string;
  readonly listing: AudienceListing;
}

const WHAT = 'its audiences';

/** The audiences that are configured, or that the service lists, by slug. */
export async function readAudiences(
  config: HttpSourceConfig['audiences'],
  api: HttpApi,
): Promise<readonly HttpAudience[]> {
  const audiences =
    'url' in config
      ? (await allRows(config, api)).flatMap((row) => {
          const key = idIn(valueAt(row, config.id));
          if (key === undefined) throw api.unexpected(WHAT, `an audience has no id under "${config.id}"`);
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
  let at = '';
  let loop = NO_PAGES;
  do {
    const page = await api.page(WHAT, config, at, { limit: config.maxLimit });
    rows.push(...page.rows);
    at = page.next;
    const next = markPage(loop, at);
    if (next === undefined) throw api.unexpected(WHAT, 'it leads in a circle: the next page has come before');
    loop = next;
  } while (at !== '');
  return rows;
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
