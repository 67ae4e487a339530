import { setImmediate } from 'node:timers/promises';
import type { PostgresSourceConfig } from '../config/source-config.ts';
import type { AudienceListing } from '../contract/audience.ts';
import { isRecord, parseJson } from '../domain/json.ts';
import { type Profile, ProfileText } from '../domain/message.ts';
import { readUser } from './ids.ts';
import { PostgresAudiences } from './postgres/audiences.ts';
import { PostgresError, PostgresPool } from './postgres/pool.ts';
import { type CheckedQueries, checkQueries, type PostgresQueries, queriesOf } from './postgres/queries.ts';
import { readPostgresUrl } from './postgres/url.ts';
import { type AudienceSource, checkLimit, type MembersPage, ProblemReport, SourceError } from './source.ts';

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

  /** Once it has succeeded, it is done. */
  async check(): Promise<CheckedQueries> {
    this.#checked ??= checkQueries(this.#pool, this.#queries).catch((error: unknown) => {
      this.#checked = undefined;
      throw error;
    });
    return await this.#checked;
  }

  /** Once its queries are known to be right, only whether the database is there. */
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
    const asked = new Set(users.filter((user) => profileType.holds(user)));
    const found = new Map<string, Profile>();
    if (asked.size === 0) return found;
    const { text, what } = this.#queries.profiles;
    const { rows } = await this.#pool.query(text, [[...asked]], what);
    let turnEnds = performance.now() + LONGEST_TURN_MS;
    for (const { user, profile } of rows) {
      if (typeof user !== 'string' || !asked.has(user)) continue;
      const read = readProfile(profile ?? '{}');
      if (read !== undefined) found.set(user, read);
      else this.#problems.add({ name: what, mark: '' }, `the one of ${JSON.stringify(user)} is not a JSON object`);
      if (performance.now() < turnEnds) continue;
      await setImmediate();
      turnEnds = performance.now() + LONGEST_TURN_MS;
    }
    return found;
  }

  /** Of one moment, and by one connection, audience by audience: each is found through the index that pages of its members need as well. */
  async memberships(users: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const { memberType } = await this.check();
    const audiences = await this.#audiences.keys();
    const slugs = new Map(users.filter((user) => memberType.holds(user)).map((user): [string, string[]] => [user, []]));
    if (slugs.size === 0) return slugs;
    const { text, what } = this.#queries.membersAmong;
    const asked = [...slugs.keys()];
    await this.#pool.transaction(async (session) => {
      for (const { key, slug } of audiences) {
        const { rows } = await session.query(text, [key, asked], what);
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

/** Undefined for what is not a JSON object. */
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
