import TinyQueue from 'tinyqueue';
import type { Chain } from './chain.ts';

/** How many chains are searched for one that matches, or failed least. */
const LOOKS = 1000;

/** Ready chains of one kind, in the order in which they go. */
export class Lane {
  /** What a slice gave back unsent; sent before new ones, since it has waited longer. */
  readonly #returned = new Set<Chain>();
  /** Those whose oldest trigger has failed before. */
  readonly #retries = new Set<Chain>();
  readonly #new = new Set<Chain>();

  get size(): number {
    return this.#returned.size + this.#retries.size + this.#new.size;
  }

  get retryCount(): number {
    return this.#retries.size;
  }

  /** How many have an oldest trigger that has never failed. */
  get freshCount(): number {
    return this.#returned.size + this.#new.size;
  }

  add(chain: Chain, where: 'last' | 'returned'): void {
    leave(chain);
    const queue = chain.failures > 0 ? this.#retries : where === 'returned' ? this.#returned : this.#new;
    queue.add(chain);
    chain.queue = queue;
  }

  has({ queue }: Chain): boolean {
    return queue === this.#returned || queue === this.#retries || queue === this.#new;
  }

  /** The chain that goes next. @param mayBegin whether it may be one whose oldest trigger has never failed. */
  first(mayBegin = true): Chain | undefined {
    const retry = firstOf(this.#retries);
    return mayBegin ? (firstOf(this.#returned) ?? retry ?? firstOf(this.#new)) : retry;
  }

  /** The first whose oldest trigger has never failed; of those that match, if it is found soon. */
  firstFresh(matches: (chain: Chain) => boolean = () => true): Chain | undefined {
    let looks = LOOKS;
    for (const queue of [this.#returned, this.#new]) {
      for (const chain of queue) {
        if (matches(chain)) return chain;
        if (--looks === 0) return undefined;
      }
    }
    return undefined;
  }

  /** The one whose oldest trigger failed least often, of the first that go. @param mayBegin as in `first`. */
  leastFailed(mayBegin: boolean): Chain | undefined {
    let least: Chain | undefined;
    let looks = LOOKS;
    for (const chain of mayBegin ? this : this.#retries) {
      if (least === undefined || chain.failures < least.failures) least = chain;
      if (least.failures === 0 || --looks === 0) break;
    }
    return least;
  }

  *[Symbol.iterator](): Iterator<Chain> {
    yield* this.#returned;
    yield* this.#retries;
    yield* this.#new;
  }
}

/** A chain is no longer ready. */
export function leave(chain: Chain): void {
  chain.queue?.delete(chain);
  chain.queue = undefined;
}

function firstOf(chains: ReadonlySet<Chain>): Chain | undefined {
  for (const chain of chains) return chain;
  return undefined;
}

interface HeldEntry {
  readonly chain: Chain;
  readonly notBefore: number;
}

/** The held chains, in the order in which they are due. */
export class HeldChains {
  /** May contain outdated entries: a chain that is no longer held is not removed here. */
  readonly #queue = new TinyQueue<HeldEntry>([], (a, b) => a.notBefore - b.notBefore);

  add(chain: Chain, notBefore: number): void {
    this.#queue.push({ chain, notBefore });
  }

  /** When the first is due, epoch ms; undefined when none is held. */
  get nextDue(): number | undefined {
    for (let entry = this.#queue.peek(); entry !== undefined; entry = this.#queue.peek()) {
      if (isTrue(entry)) return entry.notBefore;
      this.#queue.pop();
    }
    return undefined;
  }

  /** Takes out the chain that is due first, another than that of `except` if there is one. */
  take(except?: string): Chain | undefined {
    if (this.nextDue === undefined) return undefined;
    const first = this.#queue.pop();
    if (first?.chain.user !== except || this.nextDue === undefined) return first?.chain;
    const second = this.#queue.pop();
    if (first !== undefined) this.#queue.push(first);
    return second?.chain;
  }
}

function isTrue({ chain, notBefore }: HeldEntry): boolean {
  return chain.place === 'held' && chain.notBefore === notBefore;
}
