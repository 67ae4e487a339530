import { createHash } from 'node:crypto';
import { alive } from '../activities/beating.ts';
import { isSendable } from '../activities/list-members.ts';
import { forEachLimit } from '../domain/for-each-limit.ts';
import { PAGE_IDS } from '../domain/limits.ts';
import type { AudienceSource } from '../activities/audience-source.ts';
import { type FileSum, MemberBuckets, MEMBERS } from './member-files.ts';

/** How many people a source is asked about at once, each by a look-up of their own. */
const LOOK_UPS = 16;

/** Returns those of these people who are members of the audience with this id, as the source itself says. */
export async function confirmedMembers(
  source: AudienceSource,
  audience: string,
  users: readonly string[],
): Promise<ReadonlySet<string>> {
  const members = new Set<string>();
  await forEachLimit(users, LOOK_UPS, async (user) => {
    if (await source.isMember(audience, user)) members.add(user);
    // A look-up may take the source long.
    alive();
  });
  return members;
}

/** Writes all members to a folder that has none; returns the sum of each bucket. */
export async function writeMembers(source: AudienceSource, audience: string, folder: string): Promise<FileSum[]> {
  const buckets = new MemberBuckets(folder, MEMBERS);
  const cursors = new Set<string>();
  let first: string | undefined;
  for (let after: string | undefined; ;) {
    const { ids, next, version } = await source.members(audience, after, PAGE_IDS);
    first ??= version;
    // A member behind this place in one version, and before it in the other, would seem to have left.
    if (version !== first)
      throw new Error('The source changed while its members were read. Discarding the round and retrying.');
    await buckets.add(ids.filter(isSendable));
    alive();
    if (next === undefined) return await buckets.close();
    // A circular source would never show the members after it.
    const cursor = createHash('sha256').update(next).digest('base64');
    if (cursors.has(cursor))
      throw new Error('The source is circular: it gave the same cursor twice. Discarding the round and retrying.');
    cursors.add(cursor);
    after = next;
  }
}
