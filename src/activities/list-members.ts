import { createHash } from 'node:crypto';
import type { MemberIds } from '../contract/backfill.ts';
import type { Activities } from '../contract/ports.ts';
import { fieldPaths, fieldsOf, MOST_FIELDS } from '../domain/message.ts';
import { findAudience } from '../domain/names.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';
import type { AudienceSource } from './audience-source.ts';
import type { Profile } from '../domain/message.ts';

/** Where a backfill continues in a source, with the data that is needed to notice a circular source. */
export interface PageCursor {
  /** The source's own cursor; undefined at the start of an audience. */
  readonly after: string | undefined;
  /** Pages before it. */
  readonly pages: number;
  /** A hash of the place after the last page whose number was a power of two. */
  readonly mark: string;
}

const CURSOR = /^(\d+)\.([\w-]{12})\.(.*)$/s;

/** Reads the output of `nextCursor`. Anything else is left to the source, which refuses it. */
export function readCursor(text: string | null): PageCursor {
  const [, pages = '0', mark = '', after] = CURSOR.exec(text ?? '') ?? [];
  return { after: after ?? text ?? undefined, pages: Number(pages), mark };
}

/**
 * The cursor after one more page, for which the source answered `next`; undefined when that place has come before. A place that comes twice in a row
 * is noticed at once, a longer circle after at most three times its length (Brent's algorithm). The cursor contains everything needed for this, so
 * any worker can read the next page.
 */
export function nextCursor({ after, pages, mark }: PageCursor, next: string): string | undefined {
  const hash = createHash('sha256').update(next).digest('base64url').slice(0, 12);
  if (next === after || hash === mark) return undefined;
  const number = pages + 1;
  const isPowerOfTwo = (number & (number - 1)) === 0;
  return `${number}.${isPowerOfTwo ? hash : mark}.${next}`;
}

/** The most pages that a circle found by `nextCursor` can have. */
function circlePages({ pages }: PageCursor): number {
  return pages === 0 ? 1 : pages + 1 - 2 ** Math.floor(Math.log2(pages));
}

/**
 * A source breaks the rules that every source must follow: reading on would lose members or never end. The source is asked again at growing
 * intervals.
 */
class SourceMisbehaves extends Error {
  override readonly name = 'SourceMisbehaves';
}

/**
 * The activity that reads one page of an audience's members. It returns each member once, and only those with a valid id for a trigger.
 *
 * @throws SourceMisbehaves
 */
export function createListMembers(
  source: AudienceSource,
): (audience: string, after: string | null, limit: number, maxBytes: number) => Promise<MemberIds> {
  return async (audience, after, limit, maxBytes) => {
    const cursor = readCursor(after);
    for (let most = limit; ;) {
      const page = await source.members(audience, cursor.after, most);
      const ids = [...new Set(page.ids.filter(isSendable))];
      const bytes = ids.reduce((sum, id) => sum + 3 + Buffer.byteLength(id), 0);
      if (bytes <= maxBytes || most === 1) {
        if (page.next === undefined) return { ids };
        const next = nextCursor(cursor, page.next) ?? (await beyondCircle(source, audience, cursor, page.next, most));
        if (next !== undefined) return { ids, next };
        throw new SourceMisbehaves(
          `The source is circular: after page ${cursor.pages + 1} of the members of ${audience} it continues where this backfill has been before. Nothing of this page is sent until it continues elsewhere.`,
        );
      }
      if (page.ids.length > most)
        throw new SourceMisbehaves(
          `The source gave ${page.ids.length} members of ${audience}, which are too many for one page, when it was asked for at most ${most}.`,
        );
      // A page cannot be cut, since only the source knows where a cut page would continue. A smaller page is read instead.
      most = Math.max(1, Math.floor((ids.length * maxBytes * 0.9) / bytes));
    }
  };
}

/**
 * Tries to get past a place that has come before. If the source has recovered, the pages now lead from there to the end. A backfill that was led back
 * must go that way again: the pages are followed, without sending anything.
 *
 * @returns where to continue; undefined while the pages still lead back here.
 */
async function beyondCircle(
  source: AudienceSource,
  audience: string,
  cursor: PageCursor,
  next: string,
  limit: number,
): Promise<string | undefined> {
  let place: string | undefined = next;
  for (let pages = circlePages(cursor); pages > 0 && place !== undefined; pages--) {
    if (place === cursor.after) return undefined;
    ({ next: place } = await source.members(audience, place, limit));
  }
  return nextCursor({ ...cursor, pages: 0, mark: '' }, next);
}

/** The activity that counts the members to read. A person in two audiences counts twice, because an enter is sent for each. */
export function createCountMembers(source: AudienceSource): (audiences: readonly string[]) => Promise<number | null> {
  return async (audiences) => {
    const sizes = new Map((await source.audiences()).map(({ id, size }) => [id, size]));
    return audiences.reduce<number | null>((sum, id) => {
      const size = sizes.get(id);
      return sum === null || size === undefined ? null : sum + size;
    }, 0);
  };
}

/**
 * Whether a trigger can be made about a member: they need an id, and one that a trigger may have. Ids from a source may be something other than text,
 * whatever their type says.
 */
export function isSendable(id: unknown): id is string {
  return typeof id === 'string' && id.length >= 1 && id.length <= MAX_USER_LENGTH && id.isWellFormed();
}

/** Most bytes of JSON in a list of audiences. */
const MOST_BYTES = 256 * 1024;

/** The activities that list values for the form: the audiences, and the fields of a member's profile. */
export function createAudienceLists(source: AudienceSource): Pick<Activities, 'listAudiences' | 'listProfileFields'> {
  return {
    async listAudiences() {
      const all = await source.audiences();
      let bytes = 0;
      const audiences = all.filter((one) => (bytes += Buffer.byteLength(JSON.stringify(one))) <= MOST_BYTES);
      return { audiences, total: all.length };
    },
    async listProfileFields(audience) {
      const found = findAudience(await source.audiences(), audience);
      if (found === undefined) return [];
      const profiles = await firstProfiles(source, found.id);
      return [...new Set(profiles.flatMap(({ profile }) => fieldPaths(fieldsOf(profile))))].slice(0, MOST_FIELDS);
    },
  };
}

/** How many of an audience's first members are searched for one with a profile. */
export const MEMBERS_TRIED = 20;

/** A member whose profile the source has. */
export interface MemberWithProfile {
  readonly user: string;
  readonly profile: Profile;
}

/** The first members of an audience who have a profile, in their order. */
export async function firstProfiles(source: AudienceSource, audienceId: string): Promise<MemberWithProfile[]> {
  const { ids } = await source.members(audienceId, undefined, MEMBERS_TRIED);
  const profiles = await source.profiles(ids);
  return ids.flatMap((user) => {
    const profile = profiles.get(user);
    return profile === undefined ? [] : [{ user, profile }];
  });
}
