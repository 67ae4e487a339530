import type { AudienceListing } from '../contract/audience.ts';
import type { Profile } from '../domain/profile.ts';

/** One page of an audience's members. */
export interface MembersPage {
  /** At most as many as were asked for. Those without a usable id may be among them, and are skipped. */
  readonly ids: readonly string[];
  /**
   * Pass this as `after` to continue; absent at the end. Opaque to everybody but the source. No value may come twice in one reading: the
   * reader takes that for a circle, and stops.
   */
  readonly next?: string;
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
  close(): Promise<void>;
}

/** @throws RangeError for a limit that no page can have. */
export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`A page has 1 or more members, not ${limit}.`);
}
