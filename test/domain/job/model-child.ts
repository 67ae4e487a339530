import type { MemberPage, PageTaken } from '../../../src/contract/backfill.ts';

/** Pages that a child may be ahead of its job. */
const AHEAD = 4;

/** What a child needs of the world around it. */
interface Surroundings {
  /** Whether the source says now that this person is a member. */
  readonly isIn: (user: string) => boolean;
  readonly deliver: (page: MemberPage) => void;
}

/** Somebody whom a child reads. */
export interface Found {
  readonly user: string;
  /** An exit is of somebody who is no member. */
  readonly event: 'enter' | 'exit';
}

/** The child of one backfill in the model: reads page after page, whose signals may come late or twice. */
export class ModelChild {
  readonly #of: Pick<MemberPage, 'subscriptionId' | 'n' | 'audience'>;
  readonly #around: Surroundings;
  #people: Found[];
  readonly #isOfDifference: boolean;
  #late: MemberPage | undefined;
  #restarts = 0;
  #pages: { page: MemberPage; people: readonly Found[]; answered: boolean }[] = [];

  /** @param isOfDifference whether who is no longer as it was found is counted, and not just passed over. */
  constructor(
    of: Pick<MemberPage, 'subscriptionId' | 'n' | 'audience'>,
    people: readonly Found[],
    around: Surroundings,
    isOfDifference: boolean,
  ) {
    this.#of = of;
    this.#people = [...people];
    this.#around = around;
    this.#isOfDifference = isOfDifference;
  }

  readPage(size: number, how: 'now' | 'late' | 'again', now: number): void {
    const repeated = this.#pages.find(({ answered }) => !answered) ?? this.#pages.at(-1);
    if (how === 'again' && repeated !== undefined) this.#around.deliver(repeated.page);
    if (this.#pages.at(-1)?.page.last === true) return;
    if (this.#pages.filter(({ answered }) => !answered).length >= AHEAD) return;
    const people = this.#people.splice(0, size);
    const ids = people
      .filter(({ user, event }) => event === 'enter' && this.#around.isIn(user))
      .map(({ user }) => user);
    const exits = people
      .filter(({ user, event }) => event === 'exit' && !this.#around.isIn(user))
      .map(({ user }) => user);
    const outdated = this.#isOfDifference ? people.length - ids.length - exits.length : 0;
    const last = this.#people.length === 0;
    const number = this.#pages.length + 1;
    const next = last ? {} : { next: { page: number + 1, audience: 0 } };
    const of = { ...this.#of, ...(this.#restarts === 0 ? {} : { restarts: this.#restarts }) };
    const more = { ...(exits.length === 0 ? {} : { exits }), ...(outdated === 0 ? {} : { outdated }) };
    const page: MemberPage = { ...of, number, readAt: now, ids, ...more, last, ...next };
    this.#pages.push({ page, people, answered: false });
    if (how === 'late') this.#late = page;
    else this.#around.deliver(page);
  }

  /** Another child in its place goes on with this page. What was read behind it is read again. */
  goOn(from: number, restarts: number): void {
    this.#restarts = restarts;
    this.#putBack(from);
  }

  /** How many members the source showed, page by page. */
  get shown(): number {
    return this.#pages.reduce(
      (sum, { page: { ids, exits = [], outdated = 0 } }) => sum + ids.length + exits.length + outdated,
      0,
    );
  }

  get isThrough(): boolean {
    return this.#pages.at(-1)?.page.last === true;
  }

  latePageComes(): void {
    if (this.#late !== undefined) this.#around.deliver(this.#late);
    this.#late = undefined;
  }

  answered({ number, readAgain }: PageTaken): void {
    if (readAgain === true) {
      this.#putBack(number);
      return;
    }
    for (const one of this.#pages) if (one.page.number <= number) one.answered = true;
  }

  #putBack(number: number): void {
    const from = this.#pages.findIndex(({ page }) => page.number === number);
    if (from < 0) return;
    this.#people = [...this.#pages.slice(from).flatMap(({ people }) => people), ...this.#people];
    this.#pages = this.#pages.slice(0, from);
  }
}
