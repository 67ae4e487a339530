import type { MemberPage } from '../../contract/backfill.ts';
import type { CarriedBackfill } from './carried-backfill.ts';

interface Page {
  readonly number: number;
  readonly audience: string;
  /** Members still to be put into a slice. */
  readonly ids: Set<string>;
  /** The bytes of all its ids when it came. */
  readonly bytes: number;
}

/** The members that a job has taken from a backfill's pages and not yet put into a chain, in the order in which they came. */
export class WaitingPages {
  readonly #pages: Page[];
  #members = 0;

  constructor(carried: CarriedBackfill['pages']) {
    this.#pages = carried.map((page) => ({ ...page, ids: new Set(page.ids), bytes: idsBytes(page.ids) }));
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
   * Adds those members of a page who are still to be sent, and returns how many are not.
   *
   * @param isSuperseded whether a live trigger about this person is newer.
   */
  add({ number, audience, ids: given }: MemberPage, isSuperseded: (user: string) => boolean): number {
    const ids = new Set(given);
    let superseded = 0;
    for (const user of given) {
      if (!isSuperseded(user)) continue;
      ids.delete(user);
      superseded++;
    }
    // A source may list somebody on two pages. Whoever is still waiting from an earlier page is sent once.
    for (const earlier of this.#of(audience)) {
      for (const user of earlier.ids) if (ids.delete(user)) superseded++;
    }
    this.#members += ids.size;
    if (ids.size > 0) this.#pages.push({ number, audience, ids, bytes: idsBytes(given) });
    return superseded;
  }

  /** Takes the first of them; undefined when nobody is waiting. */
  shift(): { readonly user: string; readonly audience: string } | undefined {
    const [page] = this.#pages;
    const [user] = page?.ids ?? [];
    if (page === undefined || user === undefined) return undefined;
    this.#remove(page, user);
    return { user, audience: page.audience };
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

  carry(): CarriedBackfill['pages'] {
    return this.#pages.map(({ number, audience, ids }) => ({ number, audience, ids: [...ids] }));
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
