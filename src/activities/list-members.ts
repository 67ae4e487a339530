import type { MemberIds } from '../contract/backfill.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';
import type { AudienceSource } from '../sources/source.ts';
import { circlePages, nextCursor, type PageCursor, readCursor } from './page-cursor.ts';

/**
 * A source breaks the rules that every source has to follow, so that reading on would lose members or never end. It is asked again at
 * growing intervals.
 */
export class SourceMisbehaves extends Error {
  override readonly name = 'SourceMisbehaves';
}

/**
 * The activity that reads one page of an audience's members: each once, and only those of whom a trigger can be made.
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
          `The source leads in a circle: after page ${cursor.pages + 1} of the members of ${audience} it continues where this backfill has been before. Nothing of this page is sent until it continues elsewhere.`,
        );
      }
      if (page.ids.length > most)
        throw new SourceMisbehaves(
          `The source gave ${page.ids.length} members of ${audience}, which are too many for one page, when it was asked for at most ${most}.`,
        );
      // A page cannot be cut, since only the source knows where a cut page would continue: a smaller one is read.
      most = Math.max(1, Math.floor((ids.length * maxBytes * 0.9) / bytes));
    }
  };
}

/**
 * A place has come before. If the source has recovered, it now leads from there to the end, and a backfill that was led back has to go that
 * way again. So the pages are followed, without sending anything.
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
 * No trigger can be made of a member without an id, or with one that a trigger may not have. What a source has read need not be text,
 * whatever its type says.
 */
export function isSendable(id: unknown): id is string {
  return typeof id === 'string' && id.length >= 1 && id.length <= MAX_USER_LENGTH && id.isWellFormed();
}
