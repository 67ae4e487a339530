import type { MemberIds } from '../contract/backfill.ts';
import { MAX_USER_LENGTH } from '../domain/trigger.ts';
import type { AudienceSource } from '../sources/source.ts';

/** The activity that reads one page of an audience's members. */
export function createListMembers(
  source: AudienceSource,
): (audience: string, after: string | null, limit: number, maxBytes: number) => Promise<MemberIds> {
  return async (audience, after, limit, maxBytes) => {
    for (let most = limit; ;) {
      const page = await source.members(audience, after ?? undefined, most);
      const bytes = page.ids.reduce((sum, id) => sum + 3 + Buffer.byteLength(id), 0);
      if (bytes <= maxBytes || most === 1) {
        return { ids: page.ids.filter(isSendable), ...(page.next === undefined ? {} : { next: page.next }) };
      }
      // A page cannot be cut, since only the source knows where a cut one would go on: a smaller one is read.
      most = Math.max(1, Math.floor((page.ids.length * maxBytes * 0.9) / bytes));
    }
  };
}

/** The activity that says how many there are to read. A person in two audiences counts twice, since they are told of both. */
export function createCountMembers(source: AudienceSource): (audiences: readonly string[]) => Promise<number | null> {
  return async (audiences) => {
    const sizes = new Map((await source.audiences()).map(({ id, size }) => [id, size]));
    return audiences.reduce<number | null>((sum, id) => {
      const size = sizes.get(id);
      return sum === null || size === undefined ? null : sum + size;
    }, 0);
  };
}

/** A member without an id, or with one that no trigger may have, cannot be told about. */
export function isSendable(id: string): boolean {
  return id.length >= 1 && id.length <= MAX_USER_LENGTH && id.isWellFormed();
}
