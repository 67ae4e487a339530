import { setImmediate } from 'node:timers/promises';
import type { PostgresSourceConfig } from './config.ts';
import type { AudienceListing } from '../../contract/audience.ts';
import { isRecord, parseJson } from '../../domain/json.ts';
import { type Profile, ProfileText } from '../../domain/message.ts';
import { type AudienceSource, type MembersPage, SourceError } from '../../activities/audience-source.ts';
import { audienceIdOf, checkLimit, ProblemReport, readUser } from '../../sources/source.ts';
import { KnownAudiences } from '../../sources/known-audiences.ts';
import { readPostgresUrl } from '../../postgres/connection.ts';
import { PostgresError, PostgresPool, type PostgresRow } from './pool.ts';
import { type CheckedQueries, checkQueries, type PostgresQueries, queriesOf } from './queries.ts';
import { AUDIENCE_ID } from '../../domain/names.ts';

/** Longest time, in ms, that reading profiles keeps the event loop from other work. */
const LONGEST_TURN_MS = 2;

export interface PostgresSourceOptions {
  /**
   * Called when the database does not answer while it is opened, and for every profile that had to be left out, at most 20 times. Default:
   * nothing.
   */
  readonly onProblem?: (text: string) => void;
}

/**
 * The source `postgres`: tables, views or queries of a PostgreSQL database, which is only read; see `docs/sources/postgres.md`.
 *
 * A database that does not answer is asked again at each call. As soon as it answers, everything that is wrong with names, types and grants
 * is reported.
 *
 * @throws SourceError when only another configuration, schema or grant would help. No message holds a password.
 */
export async function openPostgresSource(
  config: PostgresSourceConfig,
  options: PostgresSourceOptions = {},
): Promise<AudienceSource> {
  const reading = readPostgresUrl(config.url);
  if (!reading.ok) throw new SourceError(reading.problem);
  const pool = new PostgresPool(reading.address, config);
  const source = new PostgresSource(
    pool,
    queriesOf(config),
    config.lagMs,
    new ProblemReport(options.onProblem ?? (() => undefined)),
  );
  try {
    await source.check();
  } catch (error) {
    if (!(error instanceof PostgresError) || error.isLasting) {
      await pool.close();
      throw error;
    }
    options.onProblem?.(error.message);
  }
  return source;
}

class PostgresSource implements AudienceSource {
  readonly lagMs: number;
  readonly #pool: PostgresPool;
  readonly #queries: PostgresQueries;
  readonly #audiences: PostgresAudiences;
  readonly #problems: ProblemReport;
  #checked: Promise<CheckedQueries> | undefined;

  constructor(pool: PostgresPool, queries: PostgresQueries, lagMs: number, problems: ProblemReport) {
    this.#pool = pool;
    this.#queries = queries;
    this.#audiences = new PostgresAudiences(pool, queries);
    this.#problems = problems;
    this.lagMs = lagMs;
  }

  /** Once it has succeeded, it is not repeated. */
  async check(): Promise<CheckedQueries> {
    this.#checked ??= checkQueries(this.#pool, this.#queries).catch((error: unknown) => {
      this.#checked = undefined;
      throw error;
    });
    return await this.#checked;
  }

  /** Once its queries are known to be right, checks only that the database answers. */
  async answers(): Promise<void> {
    await this.check();
    await this.#pool.query('SELECT 1', [], 'whether it is there');
  }

  async audiences(): Promise<readonly AudienceListing[]> {
    return await this.#audiences.list();
  }

  /** A cursor is the last member of the previous page, so a page costs the same wherever it begins. */
  async members(audienceId: string, after: string | undefined, limit: number): Promise<MembersPage> {
    checkLimit(limit);
    const { memberType } = await this.check();
    const key = await this.#audiences.keyOf(audienceId);
    if (after !== undefined && !memberType.holds(after))
      throw new SourceError(
        `${JSON.stringify(after.slice(0, 255))} is not a cursor of members. Pass what the previous page gave as "next".`,
      );
    const { firstMembers, nextMembers } = this.#queries;
    // One more than asked for shows whether another page follows.
    const { rows } =
      after === undefined
        ? await this.#pool.query(firstMembers.text, [key, limit + 1], firstMembers.what)
        : await this.#pool.query(nextMembers.text, [key, limit + 1, after], nextMembers.what);
    return pageOf(
      rows.map(({ user }) => user ?? ''),
      limit,
    );
  }

  async isMember(audienceId: string, user: string): Promise<boolean> {
    const { memberType } = await this.check();
    const key = await this.#audiences.keyOf(audienceId);
    if (!memberType.holds(user)) return false;
    const { text, what } = this.#queries.isMember;
    const { rows } = await this.#pool.query(text, [key, user], what);
    // Equal is not always identical: 7.0 equals 7.
    return rows.some((row) => row['user'] === user);
  }

  async profiles(users: readonly string[]): Promise<ReadonlyMap<string, Profile>> {
    const { profileType } = await this.check();
    const validUsers = new Set(users.filter((user) => profileType.holds(user)));
    const found = new Map<string, Profile>();
    if (validUsers.size === 0) return found;
    const { text, what } = this.#queries.profiles;
    const { rows } = await this.#pool.query(text, [[...validUsers]], what);
    let turnEnds = performance.now() + LONGEST_TURN_MS;
    for (const { user, profile } of rows) {
      if (typeof user !== 'string' || !validUsers.has(user)) continue;
      const read = readProfile(profile ?? '{}');
      if (read !== undefined) found.set(user, read);
      else this.#problems.add({ name: what, mark: '' }, `the one of ${JSON.stringify(user)} is not a JSON object`);
      if (performance.now() < turnEnds) continue;
      await setImmediate();
      turnEnds = performance.now() + LONGEST_TURN_MS;
    }
    return found;
  }

  /** Reads them at one moment, over one connection, audience by audience: each uses the index that pages of its members need as well. */
  async memberships(users: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const { memberType } = await this.check();
    const audiences = await this.#audiences.keys();
    const slugs = new Map(users.filter((user) => memberType.holds(user)).map((user): [string, string[]] => [user, []]));
    if (slugs.size === 0) return slugs;
    const { text, what } = this.#queries.membersAmong;
    const validUsers = [...slugs.keys()];
    await this.#pool.transaction(async (session) => {
      for (const { key, slug } of audiences) {
        const { rows } = await session.query(text, [key, validUsers], what);
        for (const user of new Set(rows.map((row) => row['user'] ?? ''))) slugs.get(user)?.push(slug);
      }
    }, what);
    return slugs;
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** @param rows in order, perhaps one more than the limit, perhaps some twice. */
function pageOf(rows: readonly string[], limit: number): MembersPage {
  const page = rows.slice(0, limit);
  const ids = [...new Set(page.filter((user) => readUser(user).ok))];
  if (rows.length <= limit) return { ids };
  // Continues after the last value that can be an id: other values may be of any size, and are read once more. A page with only such values
  // continues after them.
  return { ids, next: ids.at(-1) ?? page.at(-1) ?? '' };
}

/** Undefined for anything but a JSON object. */
function readProfile(text: string): Profile | undefined {
  const read = ProfileText.read(text);
  if (read !== undefined) return read;
  try {
    const value = parseJson(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** How long sizes may be used; also how long nothing is counted after counting took too long. */
const SIZES_MS = 60_000;
/** Longest time for counting, which reads all memberships. */
const COUNTING_MS = 2_000;
const LISTED_AUDIENCES = 20;

interface PostgresAudience {
  readonly id: string;
  /** The database's own name of it. */
  readonly key: string;
  readonly listing: AudienceListing;
}

/** The audiences of a database. */
class PostgresAudiences {
  readonly #pool: PostgresPool;
  readonly #queries: PostgresQueries;
  readonly #known: KnownAudiences<PostgresAudience>;
  /** Rows of the last list that are not an audience. */
  #problems: readonly string[] = [];
  #sizes: { readonly counted: Promise<ReadonlyMap<string, number> | undefined>; readonly at: number } | undefined;

  constructor(pool: PostgresPool, queries: PostgresQueries) {
    this.#pool = pool;
    this.#queries = queries;
    this.#known = new KnownAudiences('PostgreSQL', async () => {
      const { text, what } = queries.audiences;
      const { rows } = await pool.query(text, [], what);
      const { audiences, problems } = audiencesFrom(rows, what);
      this.#problems = problems;
      return audiences;
    });
  }

  /**
   * All of them, by slug, with their sizes where these are known cheaply.
   *
   * @throws SourceError naming every row that is not an audience.
   */
  async list(): Promise<AudienceListing[]> {
    const [audiences, sizes] = await Promise.all([this.#faultless(this.#known.list()), this.#sizesNow()]);
    return audiences.map(({ key, listing }) =>
      // An audience without members is not among those that were counted.
      sizes === undefined || listing.size !== undefined ? listing : { ...listing, size: sizes.get(key) ?? 0 },
    );
  }

  /**
   * Returns the database's key and the slug of each audience, in the order of slugs; read within the last minute.
   *
   * @throws SourceError naming every row that is not an audience.
   */
  async keys(): Promise<readonly { readonly key: string; readonly slug: string }[]> {
    const audiences = await this.#faultless(this.#known.recent());
    return audiences.map(({ key, listing: { slug } }) => ({ key, slug }));
  }

  /**
   * Returns the database's key of an audience; other rows do not matter.
   *
   * @throws SourceError when there is none of this id.
   */
  async keyOf(audienceId: string): Promise<string> {
    const found = await this.#known.lookUp(audienceId);
    if (found !== undefined) return found.key;
    const audiences = await this.#known.recent();
    const named = audiences.slice(0, LISTED_AUDIENCES).map(({ id, listing: { slug } }) => `${id} (${slug})`);
    const more = audiences.length > named.length ? ', …' : '';
    throw new SourceError(
      [
        `There is no audience with the id ${audienceId} in PostgreSQL. Known are: ${named.join(', ') || 'none'}${more}.`,
        ...this.#problems,
      ].join('\n'),
    );
  }

  async #faultless(reading: Promise<readonly PostgresAudience[]>): Promise<readonly PostgresAudience[]> {
    const audiences = await reading;
    if (this.#problems.length > 0) throw new SourceError(this.#problems.join('\n'));
    return audiences;
  }

  async #sizesNow(): Promise<ReadonlyMap<string, number> | undefined> {
    const { sizes } = this.#queries;
    if (sizes === undefined) return undefined;
    const now = performance.now();
    if (this.#sizes === undefined || now - this.#sizes.at >= SIZES_MS) {
      const counted = this.#pool
        .transaction((session) => session.query(sizes.text, [], sizes.what), sizes.what, COUNTING_MS)
        .then(({ rows }) => new Map(rows.map(({ id, size }) => [id ?? '', Number(size)])))
        // Only people see sizes: everything works without them.
        .catch(() => undefined);
      this.#sizes = { counted, at: now };
    }
    return await this.#sizes.counted;
  }
}

/** The audiences in rows, by slug, and the rows that are not an audience. */
function audiencesFrom(rows: readonly PostgresRow[], what: string) {
  const problems: string[] = [];
  const found: PostgresAudience[] = [];
  for (const row of rows) {
    const listing = listingOf(row);
    if (typeof listing === 'string') problems.push(`In ${what}: ${listing}`);
    else found.push({ id: listing.id, key: row['id'] ?? '', listing });
  }
  const twice = repeated(found.map(({ id }) => id));
  for (const id of twice) {
    const keys = found.filter((one) => one.id === id).map(({ key }) => JSON.stringify(key));
    problems.push(`In ${what}: ${keys.join(' and ')} are one id, ${id}. Each audience is there once.`);
  }
  for (const slug of repeated(found.map(({ listing }) => listing.slug)))
    problems.push(`In ${what}: several audiences have the slug ${JSON.stringify(slug)}. Each needs its own.`);
  const audiences = found.filter(({ id }) => !twice.has(id));
  return { audiences: audiences.sort((a, b) => (a.listing.slug < b.listing.slug ? -1 : 1)), problems };
}

function repeated(names: readonly string[]): Set<string> {
  const seen = new Set<string>();
  return new Set(names.filter((name) => seen.size === seen.add(name).size));
}

/** The audience in a row, or why it is not one. */
function listingOf({ id, slug, name, window_minutes: window, size }: PostgresRow): AudienceListing | string {
  if (id === undefined || id === null || id === '') return 'an audience has no id.';
  const shownId = JSON.stringify(id);
  if (slug === undefined || slug === null || slug === '') return `the audience ${shownId} has no slug.`;
  const ours = audienceIdOf(id);
  if (AUDIENCE_ID.test(slug) && slug !== ours)
    return `the audience ${shownId} has a slug that looks like an id. It is what people type, so give it a readable one.`;
  const windowMinutes = window === undefined || window === null ? undefined : Number(window);
  if (windowMinutes !== undefined && !(windowMinutes > 0))
    return `the audience ${shownId} has a window of ${JSON.stringify(window)} minutes. It must be a number above 0, or null.`;
  const count = size === undefined || size === null ? undefined : Number(size);
  return {
    id: ours,
    slug,
    name: name || slug,
    ...(windowMinutes === undefined ? {} : { windowMinutes }),
    ...(count !== undefined && Number.isSafeInteger(count) && count >= 0 ? { size: count } : {}),
  };
}
