import type { AudienceListing } from '../../contract/audience.ts';
import { AUDIENCE_ID } from '../../domain/names.ts';
import { audienceIdOf } from '../ids.ts';
import { SourceError } from '../source.ts';
import type { PostgresPool, PostgresRow } from './pool.ts';
import type { PostgresQueries } from './queries.ts';

/** How long a list of audiences may be used to find one of them. */
const KNOWN_MS = 60_000;
/** How long sizes may be used; also how long nothing is counted after counting took too long. */
const SIZES_MS = 60_000;
/** Longest time for counting, which reads all memberships. */
const COUNTING_MS = 2_000;
const LISTED_AUDIENCES = 20;

interface CachedAudiences {
  /** By our id: what the database calls them, and what it says about them. */
  readonly audiences: ReadonlyMap<string, { readonly key: string; readonly listing: AudienceListing }>;
  /** Rows that are not an audience. */
  readonly problems: readonly string[];
  readonly readAt: number;
}

/** The audiences of a database. */
export class PostgresAudiences {
  readonly #pool: PostgresPool;
  readonly #queries: PostgresQueries;
  #known: CachedAudiences | undefined;
  #reading: Promise<CachedAudiences> | undefined;
  #sizes: { readonly counted: Promise<ReadonlyMap<string, number> | undefined>; readonly at: number } | undefined;

  constructor(pool: PostgresPool, queries: PostgresQueries) {
    this.#pool = pool;
    this.#queries = queries;
  }

  /**
   * All of them, by slug, with their sizes where these are known cheaply.
   *
   * @throws SourceError naming every row that is none.
   */
  async list(): Promise<AudienceListing[]> {
    const [known, sizes] = await Promise.all([this.#read(), this.#sizesNow()]);
    refuseProblems(known);
    return [...known.audiences.values()].map(({ key, listing }) =>
      // An audience without members is not among those that were counted.
      sizes === undefined || listing.size !== undefined ? listing : { ...listing, size: sizes.get(key) ?? 0 },
    );
  }

  /**
   * What the database calls each of them, and its slug, by slug; read within the last minute.
   *
   * @throws SourceError naming every row that is none.
   */
  async keys(): Promise<readonly { readonly key: string; readonly slug: string }[]> {
    const known = this.#freshlyKnown() ?? (await this.#read());
    refuseProblems(known);
    return [...known.audiences.values()].map(({ key, listing: { slug } }) => ({ key, slug }));
  }

  /**
   * What the database calls an audience; other rows do not matter.
   *
   * @throws SourceError when there is none of this id.
   */
  async keyOf(audienceId: string): Promise<string> {
    const key = this.#freshlyKnown()?.audiences.get(audienceId)?.key;
    if (key !== undefined) return key;
    const { audiences, problems } = await this.#read();
    const found = audiences.get(audienceId);
    if (found !== undefined) return found.key;
    const named = [...audiences.values()]
      .slice(0, LISTED_AUDIENCES)
      .map(({ listing: { id, slug } }) => `${id} (${slug})`);
    const more = audiences.size > named.length ? ', …' : '';
    throw new SourceError(
      [
        `There is no audience with the id ${audienceId} in PostgreSQL. Known are: ${named.join(', ') || 'none'}${more}.`,
        ...problems,
      ].join('\n'),
    );
  }

  #freshlyKnown(): CachedAudiences | undefined {
    const known = this.#known;
    return known !== undefined && performance.now() - known.readAt < KNOWN_MS ? known : undefined;
  }

  /** Callers at the same time share one reading. */
  async #read(): Promise<CachedAudiences> {
    this.#reading ??= this.#readNow().finally(() => (this.#reading = undefined));
    return (this.#known = await this.#reading);
  }

  async #readNow(): Promise<CachedAudiences> {
    const readAt = performance.now();
    const { text, what } = this.#queries.audiences;
    const { rows } = await this.#pool.query(text, [], what);
    return { ...knownOf(rows, what), readAt };
  }

  async #sizesNow(): Promise<ReadonlyMap<string, number> | undefined> {
    const { sizes } = this.#queries;
    if (sizes === undefined) return undefined;
    const now = performance.now();
    if (this.#sizes === undefined || now - this.#sizes.at >= SIZES_MS) {
      const counted = this.#pool
        .transaction((session) => session.query(sizes.text, [], sizes.what), sizes.what, COUNTING_MS)
        .then(({ rows }) => new Map(rows.map(({ id, size }) => [id ?? '', Number(size)])))
        // Sizes are only for people to see: everything works without them.
        .catch(() => undefined);
      this.#sizes = { counted, at: now };
    }
    return await this.#sizes.counted;
  }
}

function refuseProblems({ problems }: CachedAudiences): void {
  if (problems.length > 0) throw new SourceError(problems.join('\n'));
}

function knownOf(rows: readonly PostgresRow[], what: string): Omit<CachedAudiences, 'readAt'> {
  const problems: string[] = [];
  const found: { key: string; listing: AudienceListing }[] = [];
  for (const row of rows) {
    const listing = listingOf(row);
    if (typeof listing === 'string') problems.push(`In ${what}: ${listing}`);
    else found.push({ key: row['id'] ?? '', listing });
  }
  const audiences = new Map(found.map((one) => [one.listing.id, one]));
  for (const twice of repeated(found.map(({ listing }) => listing.id))) {
    const keys = found.filter(({ listing }) => listing.id === twice).map(({ key }) => JSON.stringify(key));
    problems.push(`In ${what}: ${keys.join(' and ')} are one id, ${twice}. Each audience is there once.`);
    audiences.delete(twice);
  }
  for (const slug of repeated(found.map(({ listing }) => listing.slug)))
    problems.push(`In ${what}: several audiences have the slug ${JSON.stringify(slug)}. Each needs its own.`);
  const bySlug = [...audiences].sort(([, a], [, b]) => (a.listing.slug < b.listing.slug ? -1 : 1));
  return { audiences: new Map(bySlug), problems };
}

function repeated(names: readonly string[]): Set<string> {
  const seen = new Set<string>();
  return new Set(names.filter((name) => seen.size === seen.add(name).size));
}

/** The audience in a row, or why it is not one. */
function listingOf({ id, slug, name, window_minutes: window, size }: PostgresRow): AudienceListing | string {
  if (id === undefined || id === null || id === '') return 'an audience has no id.';
  const said = JSON.stringify(id);
  if (slug === undefined || slug === null || slug === '') return `the audience ${said} has no slug.`;
  const ours = audienceIdOf(id);
  if (AUDIENCE_ID.test(slug) && slug !== ours)
    return `the audience ${said} has a slug that looks like an id. It is what people type, so give it a readable one.`;
  const windowMinutes = window === undefined || window === null ? undefined : Number(window);
  if (windowMinutes !== undefined && !(windowMinutes > 0))
    return `the audience ${said} has a window of ${JSON.stringify(window)} minutes. It must be a number above 0, or null.`;
  const count = size === undefined || size === null ? undefined : Number(size);
  return {
    id: ours,
    slug,
    name: name || slug,
    ...(windowMinutes === undefined ? {} : { windowMinutes }),
    ...(count !== undefined && Number.isSafeInteger(count) && count >= 0 ? { size: count } : {}),
  };
}
