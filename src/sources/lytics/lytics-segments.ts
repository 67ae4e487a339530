import type { AudienceListing } from '../../contract/audience.ts';
import type { Json, JsonObject } from '../../contract/trigger.ts';
import { isRecord } from '../../domain/json.ts';
import type { LyticsApi } from './lytics-api.ts';
import { shortestWindow } from './lytics-window.ts';
import { SourceError } from '../source-error.ts';

const WHAT = 'its audiences';
const PATH = '/v2/segment?table=user&kind=segment&valid=true&sizes=true';
const ID = /^[0-9a-f]{32}$/;
/** So long a list is trusted to know an audience; one that it does not know is asked for at once. */
const TRUSTED_MS = 60_000;

/** The segments of an account that are audiences of people. */
export class LyticsSegments {
  readonly #api: LyticsApi;
  #listed: { readonly listings: readonly AudienceListing[]; readonly atMs: number } | undefined;
  #listing: Promise<readonly AudienceListing[]> | undefined;

  constructor(api: LyticsApi) {
    this.#api = api;
  }

  /** All of them, by slug. Those that are deleted or invalid, and those of other tables and kinds, are none. */
  async list(): Promise<readonly AudienceListing[]> {
    this.#listing ??= this.#read().finally(() => {
      this.#listing = undefined;
    });
    return await this.#listing;
  }

  /** @throws SourceError when there is no audience with this id. */
  async find(id: string): Promise<AudienceListing> {
    const { listings, atMs } = this.#listed ?? { listings: [], atMs: -Infinity };
    const known = performance.now() - atMs < TRUSTED_MS ? byId(listings, id) : undefined;
    const found = known ?? byId(await this.list(), id);
    if (found !== undefined) return found;
    throw new SourceError(
      `Lytics has no audience of people with the id ${id} that is valid. It may have been deleted; triggers edit takes it out of a job.`,
    );
  }

  async #read(): Promise<readonly AudienceListing[]> {
    const { data } = await this.#api.get(WHAT, PATH);
    if (data !== null && !Array.isArray(data)) throw this.#api.unexpected(WHAT, 'there is no list under "data"');
    const segments = ((data ?? []) as readonly Json[]).filter(isAudience);
    const bySlug = new Map(segments.map((segment) => [segment['slug_name'], segment]));
    const listings = segments.map((segment) => listingOf(segment, (slug) => definitionOf(bySlug.get(slug))));
    listings.sort((a, b) => (a.slug < b.slug ? -1 : 1));
    this.#listed = { listings, atMs: performance.now() };
    return listings;
  }
}

function byId(listings: readonly AudienceListing[], id: string): AudienceListing | undefined {
  return listings.find((one) => one.id === id);
}

/** The query asks for these alone; whether a parameter is heard is not ours to trust. */
function isAudience(value: Json): value is JsonObject & { readonly id: string } {
  if (!isRecord(value)) return false;
  const { id, table = 'user', kind = 'segment', deleted, invalid } = value;
  return (
    typeof id === 'string' &&
    ID.test(id) &&
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
