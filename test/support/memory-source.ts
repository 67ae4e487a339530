import type { AudienceListing } from '../../src/contract/audience.ts';
import type { JsonObject } from '../../src/contract/trigger.ts';
import type { AudienceSource, MembersPage } from '../../src/activities/audience-source.ts';

/** What a source is filled with. */
export interface SourceContent {
  readonly audiences: readonly (AudienceListing & { readonly members: readonly string[] })[];
  readonly profiles: Readonly<Record<string, JsonObject>>;
}

/** An audience source in memory whose content, lag, delay and health a test changes as it goes. */
export class MemorySource implements AudienceSource {
  lagMs = 0;
  /** Every call takes this long, in ms. */
  delayMs = 0;
  /** When set, every call rejects with it. */
  failure: Error | undefined;
  /** When set, it replaces each page of members by what a misbehaving source would answer. */
  bend: ((page: MembersPage, after: string | undefined) => MembersPage) | undefined;
  /** The most members of a page, however many are asked for. */
  pageSize = Infinity;
  /** Calls so far, by method. */
  readonly calls: Record<Method, number> = { audiences: 0, members: 0, isMember: 0, profiles: 0, memberships: 0 };
  readonly #held = new Map<Method, Promise<void>>();
  readonly #audiences = new Map<string, Members>();
  readonly #profiles = new Map<string, JsonObject>();
  readonly #ofMembers: JsonObject | undefined;

  /** @param ofMembers the profile of members without one of their own: a job waits some 20 s for one that is missing. */
  constructor(content: Partial<SourceContent> = {}, ofMembers?: JsonObject) {
    this.#ofMembers = ofMembers;
    for (const { members, ...listing } of content.audiences ?? []) {
      this.#audiences.set(listing.id, { listing, joined: [], present: new Set() });
      for (const user of members) this.enter(listing.id, user);
    }
    for (const [user, profile] of Object.entries(content.profiles ?? {})) this.setProfile(user, profile);
  }

  /** From now on calls of this method are not answered until the returned function is called. */
  holdBack(method: Method): () => void {
    let release: () => void = () => undefined;
    this.#held.set(method, new Promise((resolve) => (release = resolve)));
    return () => {
      this.#held.delete(method);
      release();
    };
  }

  /** @param audience slug or id, as in `exit`. */
  enter(audience: string, user: string): void {
    if (!this.#profiles.has(user)) this.setProfile(user, this.#ofMembers);
    const members = this.#membersOf(audience);
    if (members.present.has(user)) return;
    members.present.add(user);
    members.joined.push(user);
  }

  exit(audience: string, user: string): void {
    const members = this.#membersOf(audience);
    members.present.delete(user);
    // Leaves a gap, since cursors contain the places of the others.
    const place = members.joined.indexOf(user);
    if (place !== -1) members.joined[place] = undefined;
  }

  /** Gives an audience another slug. */
  rename(audienceId: string, slug: string): void {
    const members = this.#membersOf(audienceId);
    members.listing = { ...members.listing, slug };
  }

  setProfile(user: string, profile: JsonObject | undefined): void {
    if (profile === undefined) this.#profiles.delete(user);
    else this.#profiles.set(user, profile);
  }

  async audiences(): Promise<readonly AudienceListing[]> {
    await this.#called('audiences');
    return [...this.#audiences.values()].map(({ listing, present }) => ({ ...listing, size: present.size }));
  }

  async members(audienceId: string, after: string | undefined, limit: number): Promise<MembersPage> {
    await this.#called('members');
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`A page has 1 or more members, not ${limit}.`);
    const members = this.#audiences.get(audienceId);
    if (members === undefined) throw new Error(`There is no audience with the id ${audienceId}.`);
    const ids: string[] = [];
    let place = Number(after ?? 0);
    for (; place < members.joined.length && ids.length < Math.min(limit, this.pageSize); place++) {
      const user = members.joined[place];
      if (user !== undefined) ids.push(user);
    }
    const more = members.joined.slice(place).some((user) => user !== undefined);
    const page = more ? { ids, next: String(place) } : { ids };
    return this.bend === undefined ? page : this.bend(page, after);
  }

  async isMember(audienceId: string, user: string): Promise<boolean> {
    await this.#called('isMember');
    const members = this.#audiences.get(audienceId);
    if (members === undefined) throw new Error(`There is no audience with the id ${audienceId}.`);
    return members.present.has(user);
  }

  async profiles(users: readonly string[]): Promise<ReadonlyMap<string, JsonObject>> {
    await this.#called('profiles');
    const found = new Map<string, JsonObject>();
    for (const user of users) {
      const profile = this.#profiles.get(user);
      if (profile !== undefined) found.set(user, profile);
    }
    return found;
  }

  /** Undefined: it cannot say that. */
  memberships: AudienceSource['memberships'] = async (users) => {
    await this.#called('memberships');
    const slugsOf = (user: string): string[] =>
      [...this.#audiences.values()].filter(({ present }) => present.has(user)).map(({ listing }) => listing.slug);
    return new Map(users.map((user) => [user, slugsOf(user)]));
  };

  async close(): Promise<void> {}

  #membersOf(audience: string): Members {
    for (const members of this.#audiences.values())
      if (members.listing.id === audience || members.listing.slug === audience) return members;
    throw new Error(`The test's source has no audience ${audience}.`);
  }

  async #called(method: Method): Promise<void> {
    this.calls[method] += 1;
    const { delayMs } = this;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    await this.#held.get(method);
    if (this.failure !== undefined) throw this.failure;
  }
}

type Method = 'audiences' | 'members' | 'isMember' | 'profiles' | 'memberships';

interface Members {
  listing: AudienceListing;
  /** In the order in which they came; undefined where somebody left. */
  readonly joined: (string | undefined)[];
  readonly present: Set<string>;
}
