import type { MemberPage } from '../../contract/backfill.ts';
import type { CarriedBackfill } from './carried-backfill.ts';

interface Page {
  readonly number: number;
  readonly audience: string;
  /** Members still to be put into a slice. */
  readonly ids: Set<string>;
  /** Of all its ids when it came. */
  readonly bytes: number;
}

/** The members that a job took of a backfill's pages and has put into no chain yet, in the order in which they came. */
export class WaitingPages {
  readonly #pages: Page[];
  #members = 0;

  constructor(carried: CarriedBackfill['pages']) {
    this.#pages = carried.map((page) => ({ ...page, ids: new Set(page.ids), bytes: idsBytes(page.ids) }));
    for (const page of this.#pages) this.#members += page.ids.size;
  }

  /** How many wait. */
  get members(): number {
    return this.#members;
  }

  /** Bytes that they take when carried, at most. */
  get bytes(): number {
    return this.#pages.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The number of the first page that somebody still waits in; undefined when nobody waits. */
  get firstNumber(): number | undefined {
    return this.#pages[0]?.number;
  }

  has(user: string): boolean {
    return this.#pages.some(({ ids }) => ids.has(user));
  }

  /**
   * Adds those of a page who are still to be told, and says how many are not.
   *
   * @param isSuperseded whether a live trigger says more of this person.
   */
  add({ number, audience, ids: given }: MemberPage, isSuperseded: (user: string) => boolean): number {
    const ids = new Set(given);
    let superseded = 0;
    for (const user of given) {
      if (!isSuperseded(user)) continue;
      ids.delete(user);
      superseded++;
    }
    // A source may show somebody on two pages. Who waits from the one before is told once.
    for (const earlier of this.#of(audience)) {
      for (const user of earlier.ids) if (ids.delete(user)) superseded++;
    }
    this.#members += ids.size;
    if (ids.size > 0) this.#pages.push({ number, audience, ids, bytes: idsBytes(given) });
    return superseded;
  }

  /** Takes the first of them; undefined when nobody waits. */
  shift(): { readonly user: string; readonly audience: string } | undefined {
    const [page] = this.#pages;
    const [user] = page?.ids ?? [];
    if (page === undefined || user === undefined) return undefined;
    this.#remove(page, user);
    return { user, audience: page.audience };
  }

  /** Takes a person out of an audience's pages, and says how often that was. */
  remove(user: string, audience: string): number {
    const pages = this.#of(audience).filter(({ ids }) => ids.has(user));
    for (const page of pages) this.#remove(page, user);
    return pages.length;
  }

  /** Takes an audience out, and says how many waited for it. */
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
