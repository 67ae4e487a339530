import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { AUDIENCE_ID } from '../../domain/audience.ts';
import { isRecord } from '../../domain/json.ts';
import type { LyticsApi } from './lytics-api.ts';
import { shortestWindow } from './lytics-window.ts';

const WHAT = 'its audiences';
const PATH = '/v2/segment?table=user&kind=segment&valid=true&sizes=true';

/** The segments of an account that are audiences of people, by slug: not those that are deleted or invalid, or of other tables and kinds. */
export async function readSegments(api: LyticsApi): Promise<readonly AudienceListing[]> {
  const { data } = await api.get(WHAT, PATH);
  if (data !== null && !Array.isArray(data)) throw api.unexpected(WHAT, 'there is no list under "data"');
  const segments = ((data ?? []) as readonly Json[]).filter(isAudience);
  const bySlug = new Map(segments.map((segment) => [segment['slug_name'], segment]));
  const listings = segments.map((segment) => listingOf(segment, (slug) => definitionOf(bySlug.get(slug))));
  return listings.sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

/** The query asks for only these, but it is not certain that the parameter is respected. */
function isAudience(value: Json): value is JsonObject & { readonly id: string } {
  if (!isRecord(value)) return false;
  const { id, table = 'user', kind = 'segment', deleted, invalid } = value;
  return (
    typeof id === 'string' &&
    AUDIENCE_ID.test(id) &&
    table === 'user' &&
    kind === 'segment' &&
    deleted !== true &&
    invalid !== true
  );
}

function listingOf(
  segment: JsonObject & { readonly id: string },
  definition: (slug: string) => string,
): AudienceListing {
  const { id, slug_name: slug, name, size } = segment;
  const known = { id, slug: nameOf(slug) ?? id };
  const windowMinutes = shortestWindow(definitionOf(segment), definition);
  return {
    ...known,
    name: nameOf(name) ?? known.slug,
    ...(typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? { size } : {}),
    ...(windowMinutes === undefined ? {} : { windowMinutes }),
  };
}

/** With what it includes, where Lytics has put that in. */
function definitionOf(segment: JsonObject | undefined): string {
  return nameOf(segment?.['ql_resolved']) ?? nameOf(segment?.['segment_ql']) ?? '';
}

function nameOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
