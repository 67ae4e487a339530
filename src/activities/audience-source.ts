import type { AudienceListing } from '../contract/audience.ts';
import type { Profile } from '../domain/message.ts';

/** A source that cannot be read as it is: which file, what is wrong with it, what to do. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** One page of an audience's members. */
export interface MembersPage {
  /** At most as many as were asked for. Unusable ids may be among them, and are skipped. */
  readonly ids: readonly string[];
  /**
   * Pass this as `after` to continue; absent at the end. Only the source can read it. No value may come twice in one reading: the reader
   * takes that for a loop, and stops.
   */
  readonly next?: string;
  /** Identifies what was read, if the source can tell: pages of two versions are not one audience. */
  readonly version?: string;
}

/**
 * Where audiences, members and profiles come from. One source serves all jobs of a worker; every method may be called
 * concurrently. A method that cannot answer now rejects, and its caller tries again later.
 */
export interface AudienceSource {
  /** How late, in ms, the source may show an exit: a member read now may have left this long ago. 0 for a source that is always up to date. */
  readonly lagMs: number;
  /** All audiences, in a stable order. */
  audiences(): Promise<readonly AudienceListing[]>;
  /**
   * Up to `limit` members of the audience with this id, from where `after` (a page's `next`) says; undefined = from the start.
   * Rejects for an audience it does not know.
   */
  members(audienceId: string, after: string | undefined, limit: number): Promise<MembersPage>;
  /** Whether a person is in the audience with this id now. Rejects for an audience it does not know. */
  isMember(audienceId: string, user: string): Promise<boolean>;
  /** The profiles of these people; those whom the source does not know are absent from the map. Called with up to 1,000 people at once. */
  profiles(users: readonly string[]): Promise<ReadonlyMap<string, Profile>>;
  /**
   * The slugs of all audiences that each of these people is in now, in a stable order. A person in none has an empty list or nothing. Called with up
   * to 1,000 people at once. Absent: the source cannot say that.
   */
  memberships?: ((users: readonly string[]) => Promise<ReadonlyMap<string, readonly string[]>>) | undefined;
  /** Rejects when it could not be asked now; costs as little as it can, since it is asked every few seconds. Absent: its list of audiences shows it. */
  answers?: (() => Promise<void>) | undefined;
  close(): Promise<void>;
}

/** The message about a source that cannot say which audiences somebody is in. */
export const NO_MEMBERSHIPS =
  "The worker's source does not say which audiences somebody is in. The sources file, postgres and lytics do.";

/** @throws SourceError for a source that cannot say it, too. */
export async function membershipsOf(
  source: AudienceSource,
  users: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (source.memberships === undefined) throw new SourceError(NO_MEMBERSHIPS);
  return await source.memberships(users);
}
