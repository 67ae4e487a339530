import type { MemberPage } from '../../../contract/backfill.ts';
import type { TriggerEvent } from '../../../contract/trigger.ts';

export interface CarriedPage {
  readonly number: number;
  readonly audience: string;
  readonly ids: readonly string[];
  /** True: these people are to be sent as exits. */
  readonly isOfExits?: true;
}

/** A person who is to be sent. */
export interface Member {
  readonly user: string;
  readonly audience: string;
  /** An exit is of somebody who is not a member but is on the endpoint's list. */
  readonly event: TriggerEvent;
}

/** The members of a page with the same event. */
interface Page {
  readonly number: number;
  readonly audience: string;
  readonly event: TriggerEvent;
  /** Members still to be put into a slice. */
  readonly ids: Set<string>;
  /** The bytes of all its ids when it came. */
  readonly bytes: number;
}

/** The members that a job has taken from a backfill's pages and not yet put into a chain, in the order in which they came. */
export class WaitingPages {
  readonly #pages: Page[];
  #members = 0;

  constructor(carried: readonly CarriedPage[]) {
    this.#pages = carried.map(({ number, audience, ids, isOfExits }) => ({
      number,
      audience,
      event: isOfExits === true ? 'exit' : 'enter',
      ids: new Set(ids),
      bytes: idsBytes(ids),
    }));
    for (const page of this.#pages) this.#members += page.ids.size;
  }

  /** How many are waiting. */
  get members(): number {
    return this.#members;
  }

  /** Bytes that they take when carried, at most. */
  get bytes(): number {
    return this.#pages.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The number of the first page in which somebody is still waiting; undefined when nobody is. */
  get firstNumber(): number | undefined {
    return this.#pages[0]?.number;
  }

  has(user: string): boolean {
    return this.#pages.some(({ ids }) => ids.has(user));
  }

  /**
   * Adds the people of a page who are still to be sent, and returns how many are not.
   *
   * @param isSuperseded whether a live trigger about this person is newer.
   */
  add(
    { number, audience }: MemberPage,
    event: TriggerEvent,
    users: readonly string[],
    isSuperseded: (user: string) => boolean,
  ): number {
    const ids = new Set(users);
    let superseded = 0;
    for (const user of users) {
      if (!isSuperseded(user)) continue;
      ids.delete(user);
      superseded++;
    }
    // A source may list somebody on two pages. People who are still waiting from an earlier page are sent once.
    for (const earlier of this.#of(audience)) {
      for (const user of earlier.ids) if (ids.delete(user)) superseded++;
    }
    this.#members += ids.size;
    if (ids.size > 0) this.#pages.push({ number, audience, event, ids, bytes: idsBytes(users) });
    return superseded;
  }

  /** Takes the first member; undefined when nobody is waiting. */
  shift(): Member | undefined {
    const [page] = this.#pages;
    const [user] = page?.ids ?? [];
    if (page === undefined || user === undefined) return undefined;
    this.#remove(page, user);
    return { user, audience: page.audience, event: page.event };
  }

  /** Removes a person from an audience's pages, and returns how often they were there. */
  remove(user: string, audience: string): number {
    const pages = this.#of(audience).filter(({ ids }) => ids.has(user));
    for (const page of pages) this.#remove(page, user);
    return pages.length;
  }

  /** Removes an audience, and returns how many of its members were waiting. */
  removeAudience(audience: string): number {
    const before = this.#members;
    for (const page of this.#of(audience)) for (const user of page.ids) this.#remove(page, user);
    return before - this.#members;
  }

  clear(): void {
    this.#pages.length = 0;
    this.#members = 0;
  }

  carry(): CarriedPage[] {
    return this.#pages.map(({ number, audience, event, ids }) => ({
      number,
      audience,
      ids: [...ids],
      ...(event === 'exit' ? { isOfExits: true } : {}),
    }));
  }

  #of(audience: string): Page[] {
    return this.#pages.filter((page) => page.audience === audience);
  }

  #remove(page: Page, user: string): void {
    page.ids.delete(user);
    this.#members--;
    if (page.ids.size === 0) this.#pages.splice(this.#pages.indexOf(page), 1);
  }
}

/** Bytes of ids in JSON, at most. */
function idsBytes(ids: readonly string[]): number {
  return ids.reduce((bytes, id) => bytes + 3 + 3 * id.length, 0);
}
