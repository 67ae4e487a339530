/** How many parts a snapshot has on disk. One part of each snapshot that is compared is in memory at a time. */
export const BUCKETS = 256;

/**
 * The part of a snapshot that a person belongs to, 0..255: FNV-1a over the id's UTF-16 code units. Snapshots on disk depend on it: another
 * rule needs another manifest version.
 */
export function bucketOf(user: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < user.length; i++) {
    hash = Math.imul(hash ^ user.charCodeAt(i), 0x01000193);
  }
  // The low bits alone depend too little on the last letters.
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & (BUCKETS - 1);
}

/** One part of the members: according to the last snapshot, to the held scan, if there is one, and to this scan. */
export interface BucketSides {
  readonly base: ReadonlySet<string>;
  readonly held: ReadonlySet<string> | undefined;
  readonly scan: ReadonlySet<string>;
}

export interface BucketDifference {
  readonly enters: readonly string[];
  readonly exits: readonly string[];
  /** Whom the held scan missed and this one saw. */
  readonly back: number;
  /** Whom this scan missed and the held one saw. */
  readonly gone: number;
}

/** What differs in one part. */
export function differenceOf({ base, held, scan }: BucketSides): BucketDifference {
  const exits = [...base].filter((user) => !scan.has(user));
  return {
    enters: [...scan].filter((user) => !base.has(user)),
    exits,
    back: held === undefined ? 0 : count(base, (user) => !held.has(user) && scan.has(user)),
    gone: held === undefined ? 0 : exits.filter((user) => held.has(user)).length,
  };
}

function count(users: ReadonlySet<string>, matches: (user: string) => boolean): number {
  let found = 0;
  for (const user of users) if (matches(user)) found++;
  return found;
}
