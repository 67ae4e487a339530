// Two sides of an audience's members, compared part by part: the members of two scans, or members and an endpoint's list.

/** This many may leave at once, whatever their share: a small audience may change by half in a day. */
const FEW_EXITS = 10;
/**
 * Whether this many exits at once more likely mean a table that is being filled, or a wrong filter, than people who left.
 *
 * @param members how many there were.
 */
export function isTooLarge(exits: number, members: number, largestExitPercent: number): boolean {
  return exits > FEW_EXITS && exits * 100 > members * largestExitPercent;
}

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
interface BucketSides {
  readonly base: ReadonlySet<string>;
  readonly held: ReadonlySet<string> | undefined;
  readonly scan: ReadonlySet<string>;
}

interface BucketDifference {
  readonly enters: readonly string[];
  readonly exits: readonly string[];
  /** People that the held scan missed and this one saw. */
  readonly back: number;
  /** People that this scan missed and the held one saw. */
  readonly gone: number;
}

/** Compares one part. */
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
