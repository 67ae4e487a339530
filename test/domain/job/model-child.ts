import type { MemberPage, PageTaken } from '../../../src/contract/backfill.ts';

/** Pages that a child may be ahead of its job. */
const AHEAD = 4;

/** What a child needs of the world around it. */
interface Surroundings {
  /** Whether the source says now that this person is a member. */
  readonly isIn: (user: string) => boolean;
  readonly deliver: (page: MemberPage) => void;
}

/** The child of one backfill in the model: reads page after page, whose signals may come late or twice. */
export class ModelChild {
  readonly #of: Pick<MemberPage, 'subscriptionId' | 'n' | 'audience'>;
  readonly #around: Surroundings;
  #members: string[];
  #late: MemberPage | undefined;
  #restarts = 0;
  #pages: { page: MemberPage; answered: boolean }[] = [];

  constructor(of: Pick<MemberPage, 'subscriptionId' | 'n' | 'audience'>, members: string[], around: Surroundings) {
    this.#of = of;
    this.#members = members;
    this.#around = around;
  }

  readPage(size: number, how: 'now' | 'late' | 'again', now: number): void {
    const repeated = this.#pages.find(({ answered }) => !answered) ?? this.#pages.at(-1);
    if (how === 'again' && repeated !== undefined) this.#around.deliver(repeated.page);
    if (this.#pages.at(-1)?.page.last === true) return;
    if (this.#pages.filter(({ answered }) => !answered).length >= AHEAD) return;
    const ids = this.#members.splice(0, size).filter((user) => this.#around.isIn(user));
    const last = this.#members.length === 0;
    const number = this.#pages.length + 1;
    const next = last ? {} : { next: { page: number + 1, audience: 0 } };
    const of = { ...this.#of, ...(this.#restarts === 0 ? {} : { restarts: this.#restarts }) };
    const page: MemberPage = { ...of, number, readAt: now, ids, last, ...next };
    this.#pages.push({ page, answered: false });
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
    return this.#pages.reduce((sum, { page }) => sum + page.ids.length, 0);
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
    this.#members = [...this.#pages.slice(from).flatMap(({ page }) => page.ids), ...this.#members];
    this.#pages = this.#pages.slice(0, from);
  }
}
