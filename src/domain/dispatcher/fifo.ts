/** The array drops at least this many taken items at once, when they are most of it. */
const TIDY_FROM = 1024;

/** First in, first out. An array's own `shift` moves everything after it, which takes long with tens of thousands of items. */
export class Fifo<T> implements Iterable<T> {
  readonly #items: T[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the oldest out. */
  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first++];
    this.#tidy();
    return item;
  }

  /** Takes the oldest `count` out, or all that there are. */
  take(count: number): T[] {
    const taken = this.#items.slice(this.#first, this.#first + count);
    this.#first += taken.length;
    this.#tidy();
    return taken;
  }

  clear(): void {
    this.#items.length = 0;
    this.#first = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.#first; i < this.#items.length; i++) yield this.#items[i] as T; // Below the length: it is there.
  }

  #tidy(): void {
    if (this.#first < TIDY_FROM || this.#first < this.#items.length / 2) return;
    this.#items.splice(0, this.#first);
    this.#first = 0;
  }
}
